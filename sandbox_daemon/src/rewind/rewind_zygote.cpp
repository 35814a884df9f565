#include "rewind_zygote.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <csignal>
#include <cstring>
#include <new>

#include "error.h"

namespace azr {
namespace {

using std::chrono::milliseconds;

// Of a program that ends sooner the broker hears once, and another may wait for it.
constexpr milliseconds kQuick{2};
constexpr milliseconds kLook{10};  // for jobs that came too late to wait for a quick one
// Beyond every deadline: the broker, whose they are, must have been stopped.
constexpr milliseconds kBeyond{10'000};
constexpr size_t kRecords = 8192;     // bytes that go with a report
constexpr int kTries = 3;             // to make a runner
constexpr size_t kWiped = 128 << 10;  // bytes of the stack: more than what serves a job uses

// It cannot go on as it was, or it has used all the CPU time that a process may.
bool ends_runner(const Stop& stop) {
  return !stop.can_be_undone() || (stop.kind == Stop::Kind::kSignal && stop.number == SIGXCPU);
}

void tell(MessageType type, std::string_view body, std::span<const int> handles = {},
          std::string_view more = {}) {
  if (!send_message(kControlFd, type, body, handles, more)) ::_exit(0);
}

[[noreturn]] void end_with(const std::string& fault) {
  send_message(kControlFd, MessageType::kFailed, fault, {});
  ::_exit(1);
}

// What calls that have returned left there.
__attribute__((noinline)) void wipe_stack_below() {
  char left[kWiped];
  ::explicit_bzero(left, sizeof left);
}

// Whether a program's output is still in its pipes.
bool pipes_hold_output() {
  int out = 0, err = 0;
  ::ioctl(kOutFd, FIONREAD, &out);
  ::ioctl(kErrFd, FIONREAD, &err);
  return out > 0 || err > 0;
}

// The records that a stopped runner has written; nothing when they are too long to go with a
// report.
std::string_view short_records(std::span<const char> output) {
  uint64_t used;
  std::memcpy(&used, output.data(), sizeof used);
  if (used > kRecords) return {};
  return {output.data(), sizeof used + used};
}

}  // namespace

RewindZygote& RewindZygote::make(const SupervisorConfig& config) {
  const UniqueFd file(::memfd_create("azr-rewind-zygote", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), sizeof(RewindZygote)) != 0) {
    throw StartError("rewind: cannot make a memory file: " + errno_text());
  }
  static const Area<char> place(sizeof(RewindZygote), file.get());
  return *new (place.data()) RewindZygote(config);
}

RewindZygote::RewindZygote(const SupervisorConfig& config) : config_(config) {
  block_stop_signal();
  make_supervisor();
}

void RewindZygote::make_supervisor() {
  supervisor_.emplace(config_);
  packet_.emplace(kMaxPacket);
}

void RewindZygote::serve() {
  while (take_message(0) == MessageType::kTask) {
    if (!run()) replace();
    if (waits_) wait_for_go();
  }
  ::_exit(0);  // the broker is gone
}

// Nothing where none is there, or the broker is gone.
std::optional<MessageType> RewindZygote::take_message(int flags) {
  long_request_.reset();
  const auto message = receive_into(kControlFd, packet_->span(), long_request_, flags);
  if (!message) return std::nullopt;
  if (message->type == MessageType::kTask) {
    assert(message->body.size() >= sizeof job_);
    std::memcpy(&job_, message->body.data(), sizeof job_);
    request_ = message->body.substr(sizeof job_);
  }
  return message->type;
}

// To where the runner reads it. Nothing of earlier programs is left there.
bool RewindZygote::take_request() {
  const std::span<char> input = config_.region->input();
  if (!config_.region->clear(kRegionFd)) return false;
  if (!long_request_) {
    std::ranges::copy(request_, input.begin());
    return true;
  }
  const UniqueFd file = std::move(long_request_);
  for (size_t at = 0; at < job_.request_bytes;) {
    const ssize_t size = ::read(file.get(), input.data() + at, job_.request_bytes - at);
    if (size <= 0) return false;
    at += static_cast<size_t>(size);
  }
  return true;
}

// Tells the broker first: what follows is for the next program. False when the runner must be
// replaced.
bool RewindZygote::run() {
  before_ = supervisor_->usage();
  begun_ = Clock::now();
  if (!take_request()) ::_exit(1);
  if (!supervisor_->begin(job_)) {
    waits_ = report_unserved(-1, before_);
    return false;
  }
  const Stop stop = wait_for_stop(milliseconds(job_.limits.timeout_ms));
  waits_ = report(stop);
  return !ends_runner(stop) && supervisor_->rewind();
}

Stop RewindZygote::wait_for_stop(milliseconds timeout) {
  if (const auto stop = supervisor_->wait(kQuick)) return *stop;
  const int handle = supervisor_->pidfd();
  tell(MessageType::kStarted, as_bytes(before_.cpu_us), {&handle, 1});
  const auto end = Clock::now() + timeout + kBeyond;
  while (Clock::now() < end) {
    while (take_message(MSG_DONTWAIT)) return_job();
    if (const auto stop = supervisor_->wait(kLook)) return *stop;
  }
  ::_exit(1);  // and the runner with it
}

// Jobs that came before the broker knew that this one must wait are for others.
void RewindZygote::wait_for_go() {
  for (;;) {
    const auto type = take_message(0);
    if (!type) ::_exit(0);  // the broker is gone
    if (type == MessageType::kGo) return;
    return_job();
  }
}

void RewindZygote::return_job() { tell(MessageType::kReturned, {}); }

// Whether the broker must take something before another program begins.
bool RewindZygote::report(const Stop& stop) {
  const bool gone = stop.kind == Stop::Kind::kGone;
  if (gone || supervisor_->is_done(stop)) return report_done(stop);
  return report_unserved(stop.kind == Stop::Kind::kCall ? stop.number : -1, stop.usage);
}

bool RewindZygote::report_unserved(int syscall, const Usage& usage) {
  const Unserved why{.syscall = syscall,
                     .waits = pipes_hold_output(),
                     .cpu_us = usage.cpu_us - before_.cpu_us,
                     .max_rss_kib = supervisor_->memory_kib(),
                     .faults = usage.faults - before_.faults};
  tell(MessageType::kUnserved, as_bytes(why));
  return why.waits;
}

bool RewindZygote::report_done(const Stop& stop) {
  const auto records = short_records(config_.region->output());
  const DoneReport done{
      .wait_status = stop.kind == Stop::Kind::kGone ? stop.number : 0,
      .waits = records.empty() || pipes_hold_output(),
      .cpu_us = stop.usage.cpu_us - before_.cpu_us,
      .wall_us =
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun_).count(),
      .max_rss_kib = supervisor_->memory_kib(),
      .faults = stop.usage.faults - before_.faults};
  tell(MessageType::kDone, as_bytes(done), {}, records);
  return done.waits;
}

// With a fault nothing that this process served or holds is to be trusted. Otherwise the runner
// alone was at fault, or was killed; a new one may be killed from outside as well, before it is
// whole.
void RewindZygote::replace() {
  if (!supervisor_->fault().empty()) end_with("rewind: " + supervisor_->fault());
  packet_.reset();  // no runner may have a copy
  supervisor_.reset();
  wipe_stack_below();
  std::string fault;
  for (int left = kTries; left > 0; --left) {
    if (try_make_supervisor(fault)) return;
  }
  end_with(fault);
}

bool RewindZygote::try_make_supervisor(std::string& fault) {
  try {
    make_supervisor();
    return true;
  } catch (const StartError& error) {
    fault = error.what();
    return false;
  }
}

}  // namespace azr
