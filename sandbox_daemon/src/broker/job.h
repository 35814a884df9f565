// A client's job: one or more forks (replicas, isolated cases) and the merging of their outcomes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "outcome.h"
#include "worker.h"

namespace azr {

struct JobSpec {
  JobKind kind = JobKind::kCall;
  std::string program;
  std::string entry;
  std::vector<std::string> arguments;  // one text per case
  std::string stdin_data;
  Limits limits;
  std::optional<int64_t> seed;
  size_t pool = 0;            // whose zygotes run it
  Tier tier = Tier::kRewind;  // the least that will do
  // Of a job that a rewind zygote begins: whose zygotes take over what that cannot serve.
  std::optional<size_t> fallback;
  std::string_view not_rewound;  // why none begins it although there is one; empty: other reasons
  size_t replicas = 1;
  bool isolate = false;
};

struct JobResult {
  Outcome outcome;  // one case result for every case asked for
  // Per replica, per case: the value's text, or the verdict and type. Empty without replicas.
  std::vector<std::vector<std::string>> replicas;
  Tier tier = Tier::kFork;  // that served it; the strongest of several
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
  size_t pool() const { return spec_.pool; }
  std::optional<size_t> fallback() const { return spec_.fallback; }
  // A fork not yet begun that waits for a worker of `pool` and may run on this one, `slot`:
  // replicas of one case never share a worker.
  std::optional<size_t> next_unit(size_t slot, size_t pool) const;
  bool begun() const { return deadline_.has_value(); }
  bool all_started() const { return started_ == units_.size(); }
  bool waits_in(size_t pool) const;  // a fork of it waits for a worker of this pool
  Task task(size_t unit) const;
  // A worker has it now.
  void assign(size_t unit, size_t slot, Tier tier);
  // A fork begins: the clock starts with the first. By when it must end.
  TimePoint begin();
  TimePoint deadline() const { return *deadline_; }
  // The worker gives it back: it waits again, for a worker of the pool that is returned.
  size_t take_back(size_t unit);
  // The same, for one of the fallback's: its tier cannot serve it.
  size_t fall_back(size_t unit);
  void finish(size_t unit, Outcome outcome);  // delivers with the last one
  void expire_rest();  // what has not begun ends as timeout; delivers when nothing else runs
  void forget_client() { deliver_ = nullptr; }

 private:
  struct Unit {
    size_t replica, first_case, cases;
    size_t pool;
    std::optional<size_t> slot;
    Tier tier = Tier::kFork;
    bool started = false;
    Outcome outcome;
  };
  // What is left of OUTPUT for the forks of one replica.
  struct Budget {
    uint64_t streams, values;
  };
  void charge(Budget& left, Outcome& outcome) const;
  JobResult result();

  JobSpec spec_;
  uint64_t client_;
  uint64_t number_ = 0;
  Deliver deliver_;
  std::vector<Unit> units_;
  std::vector<Budget> left_;                             // per replica
  size_t started_ = 0, finished_ = 0, fallen_back_ = 0;  // of the units
  std::optional<TimePoint> deadline_;
  TimePoint begun_;
};

// The outcome of one replica from those of its forks, in order of their cases.
Outcome merge_forks(std::vector<Outcome> forks, const JobSpec& spec);
// The result from one outcome per replica; what differs becomes kNondeterministic.
JobResult compare_replicas(std::vector<Outcome> replicas);

}  // namespace azr
