// A client's job: one or more tasks (replicas, isolated cases) and the merging of their outcomes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "broker/outcome.h"
#include "broker/worker.h"

namespace azr {

struct JobSpec {
  JobKind kind = JobKind::kCall;
  std::string program;
  std::string entry;
  std::vector<std::string> arguments;  // one text per case
  std::string stdin_data;
  Limits limits;
  std::optional<int64_t> seed;
  std::optional<Tier> tier;  // the least that will do, where the client said
  // Whose zygotes run it: those of the first pool, what they cannot serve those of the next.
  std::vector<size_t> pools = {0};
  std::string_view not_rewound;  // why none begins it although there is one; empty: other reasons
  size_t replicas = 1;
  bool isolate = false;

  size_t tasks() const { return (isolate ? std::max<size_t>(arguments.size(), 1) : 1) * replicas; }
};

struct JobResult {
  Outcome outcome;  // one case result for every case asked for
  // Per replica, per case: the value's text, or the verdict and type. Empty without replicas.
  std::vector<std::vector<std::string>> replicas;
  Tier tier = Tier::kFork;  // that served it; the strongest of several
  int64_t lost_us = 0;      // of its wall time: until it began in the last pool that it came to
};

class Job {
 public:
  using Deliver = std::function<void(const JobSpec&, JobResult)>;
  Job(JobSpec spec, uint64_t client, Deliver deliver);

  uint64_t client() const { return client_; }
  // Of its client's jobs, whose replies go out in this order.
  uint64_t number() const { return number_; }
  void set_number(uint64_t number) { number_ = number; }
  bool forgotten() const { return deliver_ == nullptr; }
  // Whose workers its waiting tasks wait for.
  size_t pool() const { return spec_.pools[stage_]; }
  bool has_next_pool() const { return stage_ + 1 < spec_.pools.size(); }
  // A task that waits and may run on worker `slot`: replicas of one case never share a worker.
  std::optional<size_t> next_task(size_t slot) const;
  bool begun() const;
  bool all_started() const { return started_ == tasks_.size(); }
  // In a jail programs can talk to others that run at the same time: replicas wait for each other.
  bool has_running_replica() const { return spec_.replicas > 1 && started_ > finished_; }
  Task task(size_t index) const;
  // A worker has it now.
  void assign(size_t index, size_t slot, Tier tier);
  // It begins: by when it must end. The clock of each pool starts with the first task there, since
  // what another pool could not serve must not cost a program its time.
  TimePoint begin(size_t index);
  // By when what waits must begin; nothing while no task has begun in that pool.
  std::optional<TimePoint> deadline() const;
  // The worker gives it back: it waits again.
  void take_back(size_t index);
  // Its tier cannot serve it: it waits, with all that have not started, for the next pool's. What
  // it used so far, which is all that counts of `lost`, is the job's.
  void fall_back(size_t index, const Outcome& lost);
  // What waits does so for the next pool's.
  void move_on() { ++stage_; }
  void finish(size_t index, Outcome outcome);  // delivers with the last one
  void expire_rest();  // what has not begun ends as timeout; delivers when nothing else runs
  void forget_client() { deliver_ = nullptr; }

 private:
  struct TaskState {
    size_t replica, first_case, cases;
    size_t stage = 0;  // of the pools, while a worker has it
    std::optional<size_t> slot;
    Tier tier = Tier::kFork;
    bool started = false;
    Outcome outcome;
  };
  // What is left of OUTPUT for the tasks of one replica.
  struct Budget {
    uint64_t streams, values;
  };
  void charge(Budget& left, Outcome& outcome) const;
  void add_lost(JobResult& result) const;
  JobResult result();

  JobSpec spec_;
  uint64_t client_;
  uint64_t number_ = 0;
  Deliver deliver_;
  std::vector<TaskState> tasks_;       // the replicas of the first case, those of the second, ...
  std::vector<Budget> left_;           // per replica
  size_t started_ = 0, finished_ = 0;  // of the tasks
  size_t open_ = 0;                    // all tasks before it have started
  size_t stage_ = 0;                   // of the pools
  std::vector<std::optional<TimePoint>> begun_;  // in each pool
  Outcome lost_;                                 // only what was used
};

// The outcome of one replica from those of its tasks, in order of their cases.
Outcome merge_tasks(std::vector<Outcome> tasks, const JobSpec& spec);
// The result from one outcome per replica; what differs becomes kNondeterministic.
JobResult compare_replicas(std::vector<Outcome> replicas);
// To what was used already; wall time is no part of it, since tasks run side by side.
void add_usage(Outcome& sum, const Outcome& task);

}  // namespace azr
