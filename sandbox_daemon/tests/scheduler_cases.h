// Workers that do as a test says, and jobs for them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/job.h"
#include "broker/scheduler.h"
#include "job_cases.h"

namespace azr {

using Names = std::vector<std::string>;

// After 1 ms of CPU time.
inline Outcome unserved() {
  Outcome outcome;
  outcome.unserved = "mmap";
  outcome.cpu_us = 1000;
  return outcome;
}

class NeverIdle : public Worker {
 public:
  explicit NeverIdle(bool once, bool alive = true) : idle_(once), alive_(alive) {}
  bool idle() const override { return idle_; }
  bool has_room() const override { return false; }
  bool alive() const override { return alive_; }
  void start(const Task&, Begin begin, Deliver deliver) override {
    begin();
    idle_ = false;
    deliver_ = std::move(deliver);
  }
  void cancel() override {}
  Deliver deliver_;

 private:
  bool idle_, alive_;
};

// Takes tasks while others run, and begins and ends them as the test says.
class Roomy : public Worker {
 public:
  explicit Roomy(size_t room) : room_(room) {}
  bool idle() const override { return tasks_.empty(); }
  bool has_room() const override { return !idle() && tasks_.size() < room_; }
  bool alive() const override { return true; }
  void start(const Task& task, Begin begin, Deliver deliver) override {
    if (idle()) begin();
    tasks_.push_back({std::string(task.request.program), std::move(begin), std::move(deliver)});
  }
  void cancel() override { ++cancelled_; }

  std::vector<std::string> programs() const {
    std::vector<std::string> names;
    for (const auto& task : tasks_) names.push_back(task.program);
    return names;
  }
  // The first task, and the next begins.
  void end() {
    const Given first = take(0);
    first.deliver(with_value("1"));
    if (!tasks_.empty()) tasks_.front().begin();
  }
  // Another tier must run the first task.
  void refuse() { take(0).deliver(unserved()); }
  void give_back(size_t index) {
    Outcome outcome;
    outcome.returned = true;
    take(index).deliver(outcome);
  }
  int cancelled_ = 0;

 private:
  struct Given {
    std::string program;
    Begin begin;
    Deliver deliver;
  };
  Given take(size_t index) {
    const Given given = tasks_[index];
    tasks_.erase(tasks_.begin() + static_cast<ptrdiff_t>(index));
    return given;
  }
  size_t room_;
  std::vector<Given> tasks_;
};

// What is due now, without waiting for anything else.
inline void turn(EventLoop& loop) {
  loop.call_after(Milliseconds(0), [] {});
  loop.run_once();
}

inline std::shared_ptr<Job> job_of(const char* name, uint64_t client, size_t pool) {
  JobSpec spec;
  spec.program = name;
  spec.pools = {pool};
  if (pool == 1) spec.pools.push_back(0);
  return std::make_shared<Job>(spec, client, [](const JobSpec&, JobResult) {});
}

// A worker that rewinds, with room for some jobs, and one that does its work when it cannot.
struct TwoTiers {
  explicit TwoTiers(size_t room) : rewinding(room), forking(1) {
    scheduler.add_worker(rewinding, 1, Tier::kRewind);
    scheduler.add_worker(forking, 0, Tier::kFork);
  }
  Roomy rewinding, forking;
  EventLoop loop;
  Scheduler scheduler{loop};
};

}  // namespace azr
