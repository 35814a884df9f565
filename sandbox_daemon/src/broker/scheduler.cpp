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
    if (!place.job || place.job->client() != client) continue;
    place.job->forget_client();
    place.worker->cancel();
  }
}

// Deferred, so that a burst of events is scheduled once and never from within a delivery.
void Scheduler::pump() {
  if (pump_due_) return;
  pump_due_ = true;
  loop_.defer([this] {
    pump_due_ = false;
    for (size_t slot = 0; slot < workers_.size(); ++slot) {
      if (!workers_[slot].job && workers_[slot].worker->idle()) place_one(slot);
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
    const auto job = *at;
    const bool ours = job->pool() == workers_[slot].pool && (new_jobs || job->begun());
    const auto unit = ours ? job->next_unit(slot) : std::nullopt;
    if (unit) start(job, *unit, slot);
    if (job->all_started()) unwatch(*job);
    at = job->all_started() ? queue.erase(at) : std::next(at);
    if (unit) return true;
  }
  return false;
}

void Scheduler::start(const std::shared_ptr<Job>& job, size_t unit, size_t slot) {
  workers_[slot].job = job;
  const TimePoint deadline = job->begin(unit, slot);
  if (!job->all_started() && !deadlines_.contains(job.get())) {
    deadlines_[job.get()] = loop_.call_at(deadline, [this, job] { expire(job); });
  }
  workers_[slot].worker->start(job->task(unit), deadline, [this, job, unit, slot](Outcome outcome) {
    workers_[slot].job = nullptr;
    job->finish(unit, std::move(outcome));
    pump();
  });
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
  return static_cast<size_t>(
      std::ranges::count_if(workers_, [](const Place& place) { return place.job != nullptr; }));
}

}  // namespace azr
