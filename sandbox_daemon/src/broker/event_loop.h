// The broker's one loop: descriptors and timers, each with a callback. Single-threaded.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shared/unique_fd.h"

namespace azr {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Milliseconds = std::chrono::milliseconds;

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  using Action = std::function<void()>;
  using TimerId = std::pair<TimePoint, uint64_t>;

  EventLoop();  // throws StartError

  // Level-triggered. The handler may remove any descriptor, its own included.
  void add(int fd, uint32_t events, Handler handler);
  void modify(int fd, uint32_t events);
  void remove(int fd);

  TimerId call_at(TimePoint when, Action action);
  TimerId call_after(Milliseconds delay, Action action) {
    return call_at(Clock::now() + delay, std::move(action));
  }
  void cancel(const TimerId& timer) { timers_.erase(timer); }

  // Runs `action` once the present events are handled: the place to destroy what is handling one.
  void defer(Action action) { deferred_.push_back(std::move(action)); }
  // Runs `action` in the next turn, after the events that have come by then: the place to go on
  // with long work.
  void soon(Action action) { soon_.push_back(std::move(action)); }

  // Told how long each turn took, that is how long an event that came meanwhile had to wait.
  void on_turn(std::function<void(Clock::duration)> told) { on_turn_ = std::move(told); }

  void run();       // until stop
  void run_once();  // one wait and what it brings
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

 private:
  struct Entry {
    uint32_t generation;
    std::shared_ptr<Handler> handler;
  };
  void dispatch(int fd, uint32_t generation, uint32_t events);
  void run_timers(TimePoint now);
  void run_deferred();
  int wait_ms() const;

  UniqueFd epoll_;
  std::unordered_map<int, Entry> entries_;
  std::map<TimerId, Action> timers_;
  std::vector<Action> deferred_, soon_;
  std::function<void(Clock::duration)> on_turn_ = [](Clock::duration) {};
  uint64_t next_timer_ = 0;
  uint32_t next_generation_ = 0;
  bool stopped_ = false;
};

}  // namespace azr
