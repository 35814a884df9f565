#include "scheduler.h"

#include <algorithm>

namespace azr {

void Scheduler::submit(std::shared_ptr<Job> job) {
  job->set_number(++submitted_);
  queues_[job->pool()].add(std::move(job));
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
    for (size_t slot = 0; slot < workers_.size(); ++slot) {
      if (workers_[slot].jobs.empty() && workers_[slot].worker->idle()) place_one(slot);
    }
    // What no idle worker can run need not wait here.
    for (size_t slot = 0; slot < workers_.size(); ++slot) {
      if (workers_[slot].worker->has_room()) place_one(slot);
    }
  });
}

// In turn with its own pool's jobs, those of a pool of which no worker lives and that fall back to
// this one: neither waits for the other's end.
bool Scheduler::place_one(size_t slot) {
  if (orphans_turn_ && place_orphan(slot)) {
    orphans_turn_ = false;
    return true;
  }
  if (place_from(workers_[slot].pool, slot)) {
    orphans_turn_ = true;
    return true;
  }
  return place_orphan(slot);
}

bool Scheduler::place_orphan(size_t slot) {
  const size_t own = workers_[slot].pool;
  return std::ranges::any_of(queues_, [&](const auto& other) {
    return other.first != own && other.second.fallback() == own && !served(other.first) &&
           place_from(other.first, slot);
  });
}

bool Scheduler::place_from(size_t pool, size_t slot) {
  return queues_[pool].serve([&](uint64_t client, PoolQueue::Jobs& jobs) {
    return start_from(jobs, pool, slot, may_begin_(client));
  });
}

// One client's jobs of a pool begin in order, save that one waiting for a particular worker lets
// others by.
bool Scheduler::start_from(PoolQueue::Jobs& jobs, size_t pool, size_t slot, NewJobs which) {
  for (auto at = jobs.begin(); at != jobs.end(); ++at) {
    if (!may_begin(**at, which)) continue;
    const auto unit = (*at)->next_unit(slot, pool);
    if (!unit) continue;
    const std::shared_ptr<Job> job = *at;
    start(job, *unit, slot);
    if (!job->waits_in(pool)) jobs.erase(at);
    if (job->all_started()) unwatch(*job);
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

void Scheduler::start(const std::shared_ptr<Job>& job, size_t unit, size_t slot) {
  workers_[slot].jobs.push_back(job);
  job->assign(unit, slot, workers_[slot].tier);
  const auto begin = [this, job] {
    const TimePoint deadline = job->begin();
    if (!job->all_started()) watch(job);
    return job->forgotten() ? Clock::now() : deadline;
  };
  workers_[slot].worker->start(job->task(unit), begin, [this, job, unit, slot](Outcome outcome) {
    on_end(job, unit, slot, std::move(outcome));
  });
}

void Scheduler::on_end(const std::shared_ptr<Job>& job, size_t unit, size_t slot, Outcome outcome) {
  auto& jobs = workers_[slot].jobs;
  jobs.erase(std::ranges::find(jobs, job));
  if (outcome.returned || outcome.unserved) {
    if (outcome.unserved) on_unserved_(*outcome.unserved);
    wait_again(job, unit, outcome.unserved.has_value());
  } else {
    job->finish(unit, std::move(outcome));
  }
  pump();
}

void Scheduler::wait_again(const std::shared_ptr<Job>& job, size_t unit, bool falls_back) {
  if (job->forgotten()) return;
  const size_t pool = falls_back ? job->fall_back(unit) : job->take_back(unit);
  queues_[pool].put_back(job);
  if (job->begun()) watch(job);
}

// Its deadline holds while a part of it waits.
void Scheduler::watch(const std::shared_ptr<Job>& job) {
  if (deadlines_.contains(job.get())) return;
  deadlines_[job.get()] = loop_.call_at(job->deadline(), [this, job] { expire(job); });
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
