#include "scheduler.h"

#include <algorithm>

namespace azr {

void Scheduler::submit(std::shared_ptr<Job> job) {
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

// Of its own pool's jobs; else, where no worker of another pool lives, it does their work if it is
// of those that they fall back to.
bool Scheduler::place_one(size_t slot) {
  const size_t own = workers_[slot].pool;
  if (place_from(own, slot)) return true;
  return std::ranges::any_of(queues_, [&](const auto& other) {
    return other.first != own && !other.second.empty() && !served(other.first) &&
           place_from(other.first, slot);
  });
}

bool Scheduler::place_from(size_t pool, size_t slot) {
  return queues_[pool].serve([&](uint64_t client, PoolQueue::Jobs& jobs) {
    return start_from(jobs, pool, slot, may_begin_(client));
  });
}

// Jobs of one client begin in order, save that one waiting for a particular worker lets others by.
// With `new_jobs` false only jobs that have begun go on: replies before theirs may wait for them.
bool Scheduler::start_from(PoolQueue::Jobs& jobs, size_t pool, size_t slot, bool new_jobs) {
  const size_t own = workers_[slot].pool;
  for (auto at = jobs.begin(); at != jobs.end(); ++at) {
    const std::shared_ptr<Job> job = *at;
    if (!new_jobs && !job->begun()) continue;
    if (pool != own && job->fallback() != own) continue;
    const auto unit = job->next_unit(slot, pool);
    if (!unit) continue;
    start(job, *unit, slot);
    if (!job->waits_in(pool)) jobs.erase(at);
    if (job->all_started()) unwatch(*job);
    return true;
  }
  return false;
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
