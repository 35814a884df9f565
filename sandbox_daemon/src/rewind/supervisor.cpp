#include "supervisor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "channel.h"
#include "error.h"
#include "kernel_state.h"
#include "rewind_rules.h"
#include "runner.h"

namespace azr {
namespace {

constexpr std::chrono::seconds kStartPatience{10};

UniqueFd make_memory_file(std::span<const WritableMapping> mappings) {
  UniqueFd file(::memfd_create("azr-runner", MFD_CLOEXEC));
  const size_t bytes = mappings.back().offset + mappings.back().range.size();
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    throw StartError("rewind: cannot make a memory file: " + errno_text());
  }
  return file;
}

// The two ends of what a runner tells its supervisor once.
struct Pair {
  Pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      throw StartError("rewind: cannot make a socket pair: " + errno_text());
    }
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
  UniqueFd ours, theirs;
};

}  // namespace

Supervisor::Supervisor(const SupervisorConfig& config) : config_(config) {
  try {
    auto mappings = writable_mappings(config.proc);
    Pagemap pagemap = make_runner(mappings);
    bring_to_its_stop();
    take_snapshot(std::move(mappings), std::move(pagemap));
  } catch (const StartError&) {
    kill();
    throw;
  }
}

Supervisor::~Supervisor() { kill(); }

Pagemap Supervisor::make_runner(std::span<const WritableMapping> mappings) {
  memory_file_ = make_memory_file(mappings);
  Pair pair;
  const RunnerSetup setup{.mappings = mappings,
                          .memory_file = memory_file_.get(),
                          .proc = config_.proc,
                          .region = config_.region,
                          .filter = config_.filter,
                          .stack = config_.stack,
                          .supervisor = pair.theirs.get(),
                          .inspectable = config_.paranoid};
  // Not by the C library, which keeps the id of the new process in its memory, where programs could
  // read how many were made; what else its fork does is for several threads.
  // Where this object lies in memory that no runner has, the new process must not touch it.
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (pid == 0) become_runner(setup);
  pid_ = pid;
  if (pid_ < 0) throw StartError("rewind: cannot fork: " + errno_text());
  pair.theirs.reset();
  auto message = receive_message(pair.ours.get());
  if (!message || message->fds.size() != 3) {
    throw StartError(
        "rewind: the kernel does not track writes for it (PAGEMAP_SCAN, userfaultfd; Linux 6.7)");
  }
  tracker_ = std::move(message->fds[1]);
  proc_self_ = std::move(message->fds[2]);
  return Pagemap(std::move(message->fds[0]));
}

void Supervisor::bring_to_its_stop() {
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  traced_.emplace(pid_);
  if (!pidfd_ || !traced_->adopt() || !traced_->resume()) {
    throw StartError("rewind: cannot trace the runner: " + errno_text());
  }
  std::optional<Stop> stop;
  while (!stop) stop = wait(kStartPatience);
  if (stop->kind != Stop::Kind::kCall || stop->number != kStopCall || !traced_->read(registers_)) {
    throw StartError("rewind: the runner did not come to its stop");
  }
  Traced::skip_call(registers_);
}

void Supervisor::take_snapshot(std::vector<WritableMapping> mappings, Pagemap pagemap) {
  snapshot_.emplace(std::move(mappings), memory_file_, std::move(pagemap));
  if (config_.paranoid) kernel_state_ = state_in_kernel();
  job_ = snapshot_->view(reinterpret_cast<uintptr_t>(&runner_job()));
  if (rewind()) return;
  throw StartError("rewind: " + (fault_.empty() ? "cannot restore: " + errno_text() : fault_));
}

// Of everything there is: for a checker.
std::string Supervisor::difference() const {
  Registers now;
  if (const auto address = snapshot_->first_difference()) {
    return "memory differs at " + std::to_string(*address);
  }
  if (!traced_->read(now)) return "";  // it was killed meanwhile
  if (!(now == registers_)) return "registers differ";
  if (state_in_kernel() != kernel_state_) return "the kernel's state differs";
  return "";
}

std::string Supervisor::state_in_kernel() const {
  return kernel_state(proc_self_.get()) + traced_->kernel_state();
}

// Not by the runner: its tracking does not tell.
bool Supervisor::begin(const TaskHeader& job) {
  std::memcpy(job_, &job, sizeof job);
  return traced_->resume();
}

std::optional<Stop> Supervisor::wait(std::chrono::nanoseconds patience) {
  auto stop = traced_->wait(patience);
  if (!stop) return stop;
  has_faulted_ = has_faulted_ || stop->usage.faults != usage_.faults;
  usage_ = stop->usage;
  if (stop->kind == Stop::Kind::kGone) pid_ = -1;
  return stop;
}

// Killed it may be at any time, also while it is put back: by its deadline, or from outside.
bool Supervisor::rewind() {
  static const TaskHeader kNone{};
  std::memcpy(job_, &kNone, sizeof kNone);
  if (!snapshot_->restore(has_faulted_)) return false;
  has_faulted_ = false;
  if (!traced_->write(registers_)) return false;
  if (config_.paranoid) fault_ = difference();
  return fault_.empty();
}

int64_t Supervisor::memory_kib() const {
  struct stat info{};
  ::fstat(memory_file_.get(), &info);
  return info.st_blocks / 2;
}

void Supervisor::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, __WALL);
  pid_ = -1;
}

}  // namespace azr
