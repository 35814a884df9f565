#include "scheduler.h"

#include <algorithm>

namespace azr {

void Scheduler::submit(std::shared_ptr<Job> job) {
  queues_[job->client()].push_back(std::move(job));
  pump();
}

void Scheduler::drop_client(uint64_t client) {
  const auto found = queues_.find(client);
  if (found != queues_.end()) {
    for (const auto& job : found->second) {
      job->forget_client();
      unwatch(*job);
    }
    queues_.erase(found);
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

// The next client in turn whose queue has something for this worker.
bool Scheduler::place_one(size_t slot) {
  auto at = queues_.upper_bound(last_served_);
  for (size_t tried = queues_.size(); tried > 0; --tried) {
    if (at == queues_.end()) at = queues_.begin();
    const uint64_t client = at->first;
    if (start_from(at->second, slot, may_begin_(client))) {
      last_served_ = client;
      if (at->second.empty()) queues_.erase(at);
      return true;
    }
    at = at->second.empty() ? queues_.erase(at) : std::next(at);
  }
  return false;
}

// Jobs of one client begin in order, save that one waiting for a particular worker, or for one of
// its pool, lets others by. With `new_jobs` false only jobs that have begun go on: replies before
// theirs may wait for them.
bool Scheduler::start_from(std::deque<std::shared_ptr<Job>>& queue, size_t slot, bool new_jobs) {
  for (auto at = queue.begin(); at != queue.end();) {
    const auto& job = *at;
    const auto unit = new_jobs || job->begun() ? unit_for(*job, slot) : std::nullopt;
    if (unit) start(job, *unit, slot);
    if (job->all_started()) unwatch(*job);
    at = job->all_started() ? queue.erase(at) : std::next(at);
    if (unit) return true;
  }
  return false;
}

// Where no worker of a job's own pool lives, those of its fallback do its work.
std::optional<size_t> Scheduler::unit_for(const Job& job, size_t slot) const {
  const size_t pool = workers_[slot].pool;
  const auto unit = job.next_unit(slot, pool);
  if (unit || job.fallback() != pool || served(job.pool())) return unit;
  return job.next_unit(slot, job.pool());
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

// Before the jobs that came after it.
void Scheduler::wait_again(const std::shared_ptr<Job>& job, size_t unit, bool falls_back) {
  if (job->forgotten()) return;
  auto& queue = queues_[job->client()];
  if (job->all_started()) queue.push_front(job);
  falls_back ? job->fall_back(unit) : job->take_back(unit);
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
  const auto found = queues_.find(job->client());
  if (found != queues_.end()) {
    std::erase(found->second, job);
    if (found->second.empty()) queues_.erase(found);
  }
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
  for (const auto& [client, queue] : queues_) count += queue.size();
  return count;
}

size_t Scheduler::running() const {
  size_t count = 0;
  for (const Place& place : workers_) count += place.jobs.size();
  return count;
}

}  // namespace azr
