#include "broker/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cassert>

#include "shared/error.h"

namespace azr {
namespace {

// The generation tells a descriptor from an earlier one of the same number.
epoll_event event_for(int fd, uint32_t generation, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = uint64_t{generation} << 32 | static_cast<uint32_t>(fd);
  return event;
}

}  // namespace

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw StartError("cannot make an epoll descriptor: " + errno_text());
}

void EventLoop::add(int fd, uint32_t events, Handler handler) {
  const uint32_t generation = next_generation_++;
  epoll_event event = event_for(fd, generation, events);
  [[maybe_unused]] const int status = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  assert(status == 0);
  entries_[fd] = {generation, std::make_shared<Handler>(std::move(handler))};
}

void EventLoop::modify(int fd, uint32_t events) {
  epoll_event event = event_for(fd, entries_.at(fd).generation, events);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::remove(int fd) {
  if (entries_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::call_at(TimePoint when, Action action) {
  const TimerId id{when, next_timer_++};
  timers_.emplace(id, std::move(action));
  return id;
}

int EventLoop::wait_ms() const {
  if (!soon_.empty()) return 0;
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first.first - Clock::now();
  const auto ms = std::chrono::ceil<Milliseconds>(left).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, 60'000));
}

// Those that are due now; what they add is for the next turn.
void EventLoop::run_timers(TimePoint now) {
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const Action action = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    action();
  }
}

void EventLoop::run_deferred() {
  while (!deferred_.empty()) {
    const auto actions = std::exchange(deferred_, {});
    for (const auto& action : actions) action();
  }
}

void EventLoop::dispatch(int fd, uint32_t generation, uint32_t events) {
  const auto found = entries_.find(fd);
  if (found == entries_.end() || found->second.generation != generation) return;
  const auto handler = found->second.handler;  // outlives its own removal
  (*handler)(events);
}

void EventLoop::run_once() {
  epoll_event events[64];
  const int count = ::epoll_wait(epoll_.get(), events, 64, wait_ms());
  const TimePoint awake = Clock::now();
  const auto due = std::exchange(soon_, {});
  for (int i = 0; i < count; ++i) {
    const uint64_t key = events[i].data.u64;
    dispatch(static_cast<int>(key & 0xffffffff), static_cast<uint32_t>(key >> 32),
             events[i].events);
  }
  for (const auto& action : due) action();
  run_timers(Clock::now());
  run_deferred();
  on_turn_(Clock::now() - awake);
}

void EventLoop::run() {
  run_deferred();
  while (!stopped_) run_once();
}

}  // namespace azr
