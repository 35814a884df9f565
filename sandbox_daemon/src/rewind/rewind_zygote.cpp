#include "rewind_zygote.h"

#include <unistd.h>

#include <csignal>

#include "error.h"

namespace azr {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kQuick{5};  // of a program that ends sooner the broker hears once
// Beyond every deadline: the broker, whose they are, must have been stopped.
constexpr milliseconds kBeyond{10'000};

// It cannot go on as it was, or it has used all the CPU time that a process may.
bool ends_runner(const Stop& stop) {
  return !stop.can_be_undone() || (stop.kind == Stop::Kind::kSignal && stop.number == SIGXCPU);
}

template <typename Body>
void tell(MessageType type, const Body& body, std::span<const int> handles = {}) {
  if (!send_message(kControlFd, type, as_bytes(body), handles)) ::_exit(0);
}

}  // namespace

RewindZygote::RewindZygote(const SupervisorConfig& config) : config_(config) {
  block_stop_signal();
  supervisor_ = std::make_unique<Supervisor>(config);
}

void RewindZygote::serve() {
  JobHeader job;
  UniqueFd none;
  while (receive_job(kControlFd, job, none)) run(job);
  ::_exit(0);  // the broker is gone
}

// Tells the broker first: what follows is for the next program.
void RewindZygote::run(const JobHeader& job) {
  const int64_t cpu_before = supervisor_->cpu_us();
  if (!supervisor_->begin(job)) {
    tell(MessageType::kUnserved, Unserved{});
    return replace();
  }
  const Stop stop = wait_for_stop(job, cpu_before);
  report(stop, cpu_before);
  if (ends_runner(stop) || !supervisor_->rewind()) replace();
}

Stop RewindZygote::wait_for_stop(const JobHeader& job, int64_t cpu_before) {
  if (const auto stop = supervisor_->wait(kQuick)) return *stop;
  const int handle = supervisor_->pidfd();
  tell(MessageType::kStarted, cpu_before, {&handle, 1});
  const auto end = std::chrono::steady_clock::now() + milliseconds(job.limits.timeout_ms) + kBeyond;
  for (;;) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left.count() <= 0) ::_exit(1);  // and the runner with it
    if (const auto stop = supervisor_->wait(left)) return *stop;
  }
}

void RewindZygote::report(const Stop& stop, int64_t cpu_before) const {
  if (stop.kind != Stop::Kind::kGone && !supervisor_->is_done(stop)) {
    const bool call = stop.kind == Stop::Kind::kCall;
    return tell(MessageType::kUnserved, Unserved{call ? stop.number : -1});
  }
  const bool gone = stop.kind == Stop::Kind::kGone;
  tell(MessageType::kDone, DoneReport{.wait_status = gone ? stop.number : 0,
                                      .cpu_us = stop.cpu_us - cpu_before,
                                      .max_rss_kib = supervisor_->memory_kib(),
                                      .faults = 0});
}

// With a fault nothing that this process served or holds is to be trusted.
void RewindZygote::replace() {
  if (!supervisor_->fault().empty()) {
    send_message(kControlFd, MessageType::kFailed, "rewind: " + supervisor_->fault(), {});
    ::_exit(1);
  }
  supervisor_.reset();  // first: a new runner must not have a copy of its memory
  try {
    supervisor_ = std::make_unique<Supervisor>(config_);
  } catch (const StartError& error) {
    send_message(kControlFd, MessageType::kFailed, error.what(), {});
    ::_exit(1);
  }
}

}  // namespace azr
