// Jobs wait here for workers of their pools, each pool's apart: most workers look at no other's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "broker/job.h"
#include "broker/pool_queue.h"
#include "broker/worker.h"

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
  // Told of each task that another tier must run, by what its own could not give it.
  void on_unserved(std::function<void(const std::string&)> told) { on_unserved_ = std::move(told); }
  void submit(std::shared_ptr<Job> job);
  // The client is gone: its jobs are dropped, those that run are killed.
  void drop_client(uint64_t client);
  // Gives idle workers what they can run. Called when a worker or a job comes free.
  void pump();

  bool served(size_t pool) const;  // some worker of it lives
  size_t waiting() const;          // jobs of which a task waits
  size_t running() const;
  bool idle() const { return waiting() == 0 && running() == 0; }

 private:
  struct Place {
    Worker* worker;
    size_t pool;
    Tier tier;
    std::vector<std::shared_ptr<Job>> jobs;  // what runs there, and what waits for that
  };
  void place();
  bool place_one(size_t slot);
  void leave_dead_pools();
  bool start_from(PoolQueue::Jobs& jobs, size_t slot, NewJobs which);
  bool may_begin(const Job& job, NewJobs which) const;
  void start(const std::shared_ptr<Job>& job, size_t task, size_t slot);
  void on_end(const std::shared_ptr<Job>& job, size_t task, size_t slot, Outcome outcome);
  void fall_back(const std::shared_ptr<Job>& job, size_t task, const Outcome& lost);
  void wait_again(const std::shared_ptr<Job>& job);
  void watch(const std::shared_ptr<Job>& job);
  void expire(const std::shared_ptr<Job>& job);
  void unwatch(const Job& job);

  EventLoop& loop_;
  std::function<NewJobs(uint64_t client)> may_begin_ = [](uint64_t) { return NewJobs::kAll; };
  std::function<void(const std::string&)> on_unserved_ = [](const std::string&) {};
  std::vector<Place> workers_;
  std::map<size_t, PoolQueue> queues_;  // by pool
  // Of jobs begun in part: their deadline holds even when no worker comes free for the rest.
  std::map<const Job*, EventLoop::TimerId> deadlines_;
  uint64_t submitted_ = 0;
  bool pump_due_ = false;
};

}  // namespace azr
