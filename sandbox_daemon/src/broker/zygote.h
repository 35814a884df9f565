// A zygote process as a worker: started, watched, and replaced when it dies or stops answering.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cgroup.h"
#include "event_loop.h"
#include "layers.h"
#include "region.h"
#include "spawn.h"
#include "worker.h"
#include "zygote_run.h"

namespace azr {

class Zygote : public Worker {
 public:
  struct Events {
    std::function<void()> on_ready;                         // a new process, layers and all
    std::function<void()> on_idle;                          // free for a task
    std::function<void(const std::string& why)> on_failed;  // could not become ready
  };

  Zygote(EventLoop& loop, SpawnConfig config, Events events);
  ~Zygote() override;

  void spawn();  // throws StartError
  bool idle() const override { return state_ == State::kIdle; }
  bool has_room() const override;
  void start(const Task& task, Begin begin, Deliver deliver) override;
  void cancel() override;

  const Layers& layers() const { return layers_; }
  bool alive() const override { return state_ != State::kDead; }
  pid_t pid() const { return process_.pid; }
  uint64_t jobs() const { return jobs_; }
  uint64_t restarts() const { return restarts_; }
  std::string_view state_name() const;

 private:
  enum class State { kDead, kStarting, kIdle, kBusy };

  bool rewinds() const { return config_.tier == Tier::kRewind; }
  bool take_message();
  void on_output();
  void handle(Message& message);
  void on_ready(const std::string& body);
  bool send(const Task& task, ZygoteRun& run);
  void begin_run();
  void on_done(const DoneReport& report, std::string_view records);
  void on_unserved(const Unserved& why);
  void on_returned();
  void on_death(const std::string& why);
  void lose_run();
  void end_run(const DoneReport& report, std::span<const char> records, bool died);
  void go_on(bool waits);
  void respawn();
  void retry();
  void make_group();
  Layer group_layer() const;
  bool limit_group(const Limits& limits);
  void kill_process();
  void watch(Milliseconds patience, std::string why);
  void unwatch();

  EventLoop& loop_;
  SpawnConfig config_;
  Events events_;
  State state_ = State::kDead;
  UniqueFd region_fd_;
  std::unique_ptr<Region> region_;
  std::unique_ptr<OutputPipe> out_, err_;
  std::unique_ptr<ControlGroup> group_;  // of a zygote of jails, where there can be one
  std::string no_group_;                 // why there is none
  uint64_t memory_before_ = 0;           // what the group used before its first program
  Spawned process_;
  std::unique_ptr<ZygoteRun> run_;
  std::deque<std::unique_ptr<ZygoteRun>> waiting_;  // for that to end
  bool wrote_ = false;                              // the last program, what had to be taken first
  Layers layers_;
  std::optional<EventLoop::TimerId> watchdog_;
  uint64_t jobs_ = 0, restarts_ = 0;
};

}  // namespace azr
