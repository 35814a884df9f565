#include "broker/scheduler.h"

#include <algorithm>

namespace azr {

void Scheduler::submit(std::shared_ptr<Job> job) {
  job->set_number(++submitted_);
  queues_[job->pool()].add(job);
  pump();
}

void Scheduler::drop_client(uint64_t client) {
  for (auto& [pool, queue] : queues_) {
    for (const auto& job : queue.drop(client)) {
      job->forget_client();
      unwatch(*job);
    }
  }
  for (const auto& place : workers_) {
    for (const auto& job : place.jobs) {
      if (job->client() != client) continue;
      job->forget_client();
      if (job == place.jobs.front()) place.worker->cancel();
    }
  }
}

// Deferred, so that a burst of events is scheduled once and never from within a delivery.
void Scheduler::pump() {
  if (pump_due_) return;
  pump_due_ = true;
  loop_.defer([this] {
    pump_due_ = false;
    leave_dead_pools();
    place();
  });
}

void Scheduler::place() {
  for (size_t slot = 0; slot < workers_.size(); ++slot) {
    if (workers_[slot].jobs.empty() && workers_[slot].worker->idle()) place_one(slot);
  }
  // What no idle worker can run need not wait here.
  for (size_t slot = 0; slot < workers_.size(); ++slot) {
    if (workers_[slot].worker->has_room()) place_one(slot);
  }
}

bool Scheduler::place_one(size_t slot) {
  return queues_[workers_[slot].pool].serve([&](uint64_t client, PoolQueue::Jobs& jobs) {
    return start_from(jobs, slot, may_begin_(client));
  });
}

// What waits for a pool of which no worker lives, and may go on to another one, does so now.
void Scheduler::leave_dead_pools() {
  for (auto& [pool, queue] : queues_) {
    if (queue.empty() || served(pool)) continue;
    for (const auto& job : queue.take_movable()) {
      unwatch(*job);
      job->move_on();
      wait_again(job);
    }
  }
}

// One client's jobs of a pool begin in order, save that one waiting for a particular worker lets
// others by.
bool Scheduler::start_from(PoolQueue::Jobs& jobs, size_t slot, NewJobs which) {
  for (auto at = jobs.begin(); at != jobs.end(); ++at) {
    if (!may_begin(**at, which)) continue;
    if (workers_[slot].tier == Tier::kJail && (*at)->has_running_replica()) continue;
    const auto task = (*at)->next_task(slot);
    if (!task) continue;
    const std::shared_ptr<Job> job = *at;
    start(job, *task, slot);
    if (job->all_started()) {
      jobs.erase(at);
      unwatch(*job);
    }
    return true;
  }
  return false;
}

bool Scheduler::may_begin(const Job& job, NewJobs which) const {
  if (which == NewJobs::kAll || job.begun()) return true;
  if (which == NewJobs::kNone) return false;
  const auto older = [&job](const Job& other) {
    return other.client() == job.client() && other.number() < job.number();
  };
  return std::ranges::none_of(queues_,
                              [&](const auto& queue) {
                                const Job* first = queue.second.first_of(job.client());
                                return first != nullptr && older(*first);
                              }) &&
         std::ranges::none_of(workers_, [&](const Place& place) {
           return std::ranges::any_of(place.jobs, [&](const auto& other) { return older(*other); });
         });
}

bool Scheduler::served(size_t pool) const {
  return std::ranges::any_of(
      workers_, [pool](const Place& place) { return place.pool == pool && place.worker->alive(); });
}

void Scheduler::start(const std::shared_ptr<Job>& job, size_t task, size_t slot) {
  workers_[slot].jobs.push_back(job);
  job->assign(task, slot, workers_[slot].tier);
  const auto begin = [this, job, task] {
    const TimePoint deadline = job->begin(task);
    watch(job);
    return job->forgotten() ? Clock::now() : deadline;
  };
  workers_[slot].worker->start(job->task(task), begin, [this, job, task, slot](Outcome outcome) {
    on_end(job, task, slot, std::move(outcome));
  });
}

void Scheduler::on_end(const std::shared_ptr<Job>& job, size_t task, size_t slot, Outcome outcome) {
  auto& jobs = workers_[slot].jobs;
  jobs.erase(std::ranges::find(jobs, job));
  if (outcome.returned) {
    job->take_back(task);
    wait_again(job);
  } else if (!outcome.unserved.empty()) {
    on_unserved_(outcome.unserved);
    fall_back(job, task, outcome);
  } else {
    job->finish(task, std::move(outcome));
  }
  pump();
}

void Scheduler::fall_back(const std::shared_ptr<Job>& job, size_t task, const Outcome& lost) {
  queues_[job->pool()].remove(job);  // where others of its tasks may wait
  unwatch(*job);
  job->fall_back(task, lost);
  wait_again(job);
}

void Scheduler::wait_again(const std::shared_ptr<Job>& job) {
  if (job->forgotten()) return;
  queues_[job->pool()].add(job);
  watch(job);
}

// The deadline holds while a part of it waits.
void Scheduler::watch(const std::shared_ptr<Job>& job) {
  const auto deadline = job->deadline();
  if (!deadline || job->all_started() || deadlines_.contains(job.get())) return;
  deadlines_[job.get()] = loop_.call_at(*deadline, [this, job] { expire(job); });
}

// What is not begun by the deadline never will be.
void Scheduler::expire(const std::shared_ptr<Job>& job) {
  deadlines_.erase(job.get());
  for (auto& [pool, queue] : queues_) queue.remove(job);
  job->expire_rest();
}

void Scheduler::unwatch(const Job& job) {
  const auto found = deadlines_.find(&job);
  if (found == deadlines_.end()) return;
  loop_.cancel(found->second);
  deadlines_.erase(found);
}

size_t Scheduler::waiting() const {
  size_t count = 0;
  for (const auto& [pool, queue] : queues_) count += queue.size();
  return count;
}

size_t Scheduler::running() const {
  size_t count = 0;
  for (const Place& place : workers_) count += place.jobs.size();
  return count;
}

}  // namespace azr
