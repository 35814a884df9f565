// A zygote process as a worker: started, watched, and replaced when it dies or stops answering. How
// programs are handed to it, and their ends come back, each kind of zygote has for itself.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "broker/event_loop.h"
#include "broker/spawn.h"
#include "broker/worker.h"
#include "broker/zygote_run.h"
#include "shared/layers.h"
#include "shared/region.h"

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
  bool alive() const override { return !given_up_; }
  void cancel() override;

  const Layers& layers() const { return layers_; }
  pid_t pid() const { return process_.pid; }
  uint64_t programs() const { return programs_; }
  uint64_t restarts() const { return restarts_; }
  std::string_view state_name() const;

 protected:
  // What each kind of zygote does at these times.
  virtual void on_spawned() {}
  virtual void on_layers(Layers&) {}  // it is ready, and has these
  virtual void on_output() { run_->take_output(); }
  virtual void on_done(const DoneReport& report, std::string_view records) = 0;
  virtual bool handle_other(Message&) { return false; }  // false: nothing that it may say now
  virtual void on_died() = 0;                    // what it had must go elsewhere or be answered
  virtual Milliseconds retry_delay() const = 0;  // to start what could not be started

  std::unique_ptr<ZygoteRun> make_run(const Task& task, Begin begin, Deliver deliver);
  void take() { state_ = State::kBusy; }  // a task, which begins when it has all of it
  void begin_run();                       // of run_
  bool take_message();
  void expect(bool sent);  // else it is as good as dead
  void become_idle();
  void tell_idle() { events_.on_idle(); }
  void kill_process();

  EventLoop& loop_;
  const SpawnConfig& config() const { return config_; }
  const Spawned& process() const { return process_; }
  const Region& region() const { return *region_; }
  int region_fd() const { return region_fd_.get(); }
  OutputPipe& out() { return *out_; }
  OutputPipe& err() { return *err_; }
  std::unique_ptr<ZygoteRun> run_;  // the program that runs

 private:
  enum class State { kDead, kStarting, kIdle, kBusy };

  void handle(Message& message);
  bool handle_known(Message& message);
  void on_ready(const std::string& body);
  void on_death(const std::string& why);
  void respawn();
  void retry();
  void watch(Milliseconds patience, std::string why);
  void unwatch();

  SpawnConfig config_;
  Events events_;
  State state_ = State::kDead;
  bool given_up_ = false;  // for a while: it could not be started
  UniqueFd region_fd_;
  std::unique_ptr<Region> region_;
  std::unique_ptr<OutputPipe> out_, err_;
  Spawned process_;
  Layers layers_;
  std::optional<EventLoop::TimerId> watchdog_;
  uint64_t programs_ = 0, restarts_ = 0;
};

// Of the kind that the tier needs.
std::unique_ptr<Zygote> make_zygote(EventLoop& loop, SpawnConfig config, Zygote::Events events);

}  // namespace azr
