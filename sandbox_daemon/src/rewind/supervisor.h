// A runner as its zygote keeps it: made, given jobs, and put back after each.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "channel.h"
#include "region.h"
#include "seccomp.h"
#include "snapshot.h"
#include "traced.h"
#include "unique_fd.h"

namespace azr {

struct SupervisorConfig {
  int proc;  // the folder /proc
  const Region* region;
  SyscallFilter* filter;
  std::span<char> stack;  // private memory for the runner's stack
  bool paranoid;          // compare everything after every program
};

class Supervisor {
 public:
  // Forks the runner of the calling process, which has one thread, and takes its snapshot. Throws
  // StartError.
  explicit Supervisor(const SupervisorConfig& config);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Lets it run the job whose request lies in the region. False when it is gone.
  bool begin(const TaskHeader& job);
  // Nothing while it runs.
  std::optional<Stop> wait(std::chrono::nanoseconds patience);
  // Whether a stop is the runner's word that it is done, rather than a program's.
  bool is_done(const Stop& stop) const {
    return stop.kind == Stop::Kind::kCall && stop.at == registers_.general.rip;
  }
  // Puts everything back. False when the runner is of no use: it was killed, or cannot be put back.
  bool rewind();
  // What the checker found to differ from what was; empty: nothing.
  const std::string& fault() const { return fault_; }

  const Usage& usage() const { return usage_; }  // of the runner until it last stopped
  int64_t memory_kib() const;
  size_t saved() const { return snapshot_->saved(); }
  int pidfd() const { return pidfd_.get(); }
  void kill();  // and wait for its end

 private:
  Pagemap make_runner(std::span<const WritableMapping> mappings);
  void bring_to_its_stop();
  void take_snapshot(std::vector<WritableMapping> mappings, Pagemap pagemap);
  std::string difference() const;
  std::string state_in_kernel() const;

  const SupervisorConfig config_;
  UniqueFd memory_file_, pidfd_, tracker_;
  UniqueFd proc_self_;  // the runner's folder in /proc, when paranoid
  pid_t pid_ = -1;
  Usage usage_;
  bool has_faulted_ = true;  // since it was put back
  std::optional<Traced> traced_;
  std::optional<Snapshot> snapshot_;
  char* job_ = nullptr;  // in the runner
  Registers registers_;
  std::string kernel_state_;  // when paranoid
  std::string fault_;
};

}  // namespace azr
