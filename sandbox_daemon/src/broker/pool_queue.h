// Jobs that wait for workers of one pool: a queue per client, and clients take turns.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "broker/job.h"

namespace azr {

class PoolQueue {
 public:
  using Jobs = std::deque<std::shared_ptr<Job>>;

  bool empty() const { return clients_.empty(); }
  size_t size() const {
    size_t count = 0;
    for (const auto& [client, jobs] : clients_) count += jobs.size();
    return count;
  }

  // Between the jobs that came before and after it, unless it waits here already.
  void add(const std::shared_ptr<Job>& job) {
    Jobs& jobs = clients_[job->client()];
    const auto at = std::ranges::lower_bound(jobs, job->number(), {}, &number_of);
    if (at == jobs.end() || *at != job) jobs.insert(at, job);
  }
  void remove(const std::shared_ptr<Job>& job) {
    const auto found = clients_.find(job->client());
    if (found == clients_.end()) return;
    std::erase(found->second, job);
    if (found->second.empty()) clients_.erase(found);
  }
  // The client's that came first; null: it has none.
  const Job* first_of(uint64_t client) const {
    const auto found = clients_.find(client);
    return found == clients_.end() ? nullptr : found->second.front().get();
  }
  // All of a client's.
  Jobs drop(uint64_t client) {
    const auto node = clients_.extract(client);
    return node ? std::move(node.mapped()) : Jobs();
  }

  // Everybody's that may go on to another pool.
  Jobs take_movable() {
    Jobs taken;
    for (auto& [client, jobs] : clients_) {
      const auto movable = std::ranges::stable_partition(
          jobs, [](const auto& job) { return !job->has_next_pool(); });
      taken.insert(taken.end(), movable.begin(), movable.end());
      jobs.erase(movable.begin(), movable.end());
    }
    std::erase_if(clients_, [](const auto& entry) { return entry.second.empty(); });
    return taken;
  }

  // Offers the clients' queues in turn to take(client, jobs), until one gave something.
  template <class Take>
  bool serve(Take take) {
    auto at = clients_.upper_bound(last_served_);
    for (size_t left = clients_.size(); left > 0; --left) {
      if (at == clients_.end()) at = clients_.begin();
      const bool taken = take(at->first, at->second);
      if (taken) last_served_ = at->first;
      at = at->second.empty() ? clients_.erase(at) : std::next(at);
      if (taken) return true;
    }
    return false;
  }

 private:
  static uint64_t number_of(const std::shared_ptr<Job>& job) { return job->number(); }

  std::map<uint64_t, Jobs> clients_;  // none of them empty, all in order of their numbers
  uint64_t last_served_ = 0;
};

}  // namespace azr
