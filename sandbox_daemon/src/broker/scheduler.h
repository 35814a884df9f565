// Jobs wait here for workers of their pools, each pool's apart: most workers look at no other's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "job.h"
#include "pool_queue.h"
#include "worker.h"

namespace azr {

// Which of a client's jobs that have not begun may begin.
enum class NewJobs { kAll, kOldest, kNone };

class Scheduler {
 public:
  explicit Scheduler(EventLoop& loop) : loop_(loop) {}

  // Workers are known by their place; all must be added before the first job.
  void add_worker(Worker& worker, size_t pool, Tier tier) {
    workers_.push_back({&worker, pool, tier, {}});
  }
  size_t pool_of(size_t worker) const { return workers_[worker].pool; }

  // Asked before a client's jobs begin; pump() when the answer changes. Those that have begun go
  // on, and so may the oldest: replies that are held back may wait for theirs.
  void begin_only(std::function<NewJobs(uint64_t client)> which) { may_begin_ = std::move(which); }
  // Told of each part of a job that another tier must run.
  void on_unserved(std::function<void(const Unserved&)> told) { on_unserved_ = std::move(told); }
  void submit(std::shared_ptr<Job> job);
  // The client is gone: its jobs are dropped, those that run are killed.
  void drop_client(uint64_t client);
  // Gives idle workers what they can run. Called when a worker or a job comes free.
  void pump();

  size_t waiting() const;  // a job whose parts wait for two pools counts twice
  size_t running() const;
  bool idle() const { return waiting() == 0 && running() == 0; }

 private:
  struct Place {
    Worker* worker;
    size_t pool;
    Tier tier;
    std::vector<std::shared_ptr<Job>> jobs;  // what runs there, and what waits for that
  };
  bool place_one(size_t slot);
  bool place_from(size_t pool, size_t slot);
  bool place_orphan(size_t slot);
  bool start_from(PoolQueue::Jobs& jobs, size_t pool, size_t slot, NewJobs which);
  bool may_begin(const Job& job, NewJobs which) const;
  bool served(size_t pool) const;
  void start(const std::shared_ptr<Job>& job, size_t unit, size_t slot);
  void on_end(const std::shared_ptr<Job>& job, size_t unit, size_t slot, Outcome outcome);
  void wait_again(const std::shared_ptr<Job>& job, size_t unit, bool falls_back);
  void watch(const std::shared_ptr<Job>& job);
  void expire(const std::shared_ptr<Job>& job);
  void unwatch(const Job& job);

  EventLoop& loop_;
  std::function<NewJobs(uint64_t client)> may_begin_ = [](uint64_t) { return NewJobs::kAll; };
  std::function<void(const Unserved&)> on_unserved_ = [](const Unserved&) {};
  std::vector<Place> workers_;
  std::map<size_t, PoolQueue> queues_;  // by pool
  // Of jobs begun in part: their deadline holds even when no worker comes free for the rest.
  std::map<const Job*, EventLoop::TimerId> deadlines_;
  uint64_t submitted_ = 0;
  bool orphans_turn_ = false;
  bool pump_due_ = false;
};

}  // namespace azr
