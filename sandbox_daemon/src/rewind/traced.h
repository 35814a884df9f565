// A traced process: what it stops for, and its registers (ptrace(2)).
#pragma once

#include <sys/resource.h>
#include <sys/types.h>
#include <sys/user.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace azr {

// What a process has used in all.
struct Usage {
  int64_t cpu_us = 0;
  int64_t faults = 0;  // page faults, of its system calls as well
};

struct Stop {
  enum class Kind { kCall, kSignal, kGone };
  Kind kind;
  int number;          // the system call; the signal; the wait status
  uintptr_t at = 0;    // where it would go on
  uint64_t flags = 0;  // of its processor
  bool in_64_bits = true;
  Usage usage;

  // Whether it can be sent back to another place with other flags, and nothing be left. From the
  // vsyscall page, in the kernel's half of addresses, a process that is sent elsewhere is killed;
  // the identification flag, which is 0 at first, is beyond a tracer; and of a process that jumped
  // into 32-bit code a tracer sees and sets the registers of that mode only
  // (arch/x86/kernel/ptrace.c).
  bool can_be_undone() const;
};

// All that a thread has in its processor.
struct Registers {
  user_regs_struct general{};
  alignas(64) std::array<char, 16384> extended{};
  size_t extended_bytes = 0;

  bool operator==(const Registers& other) const;
};

// Stops are waited for as a signal that is never delivered. Call once, before there is a child.
void block_stop_signal();

class Traced {
 public:
  explicit Traced(pid_t pid) : pid_(pid) {}

  // Of a process that asked to be traced and stopped itself: it will stop for what its filter
  // traces and end with its tracer.
  bool adopt() const;
  bool resume() const;
  // Nothing while it runs on after `patience`, or when a signal came for something else. A process
  // that is no child any longer is gone, as if killed.
  std::optional<Stop> wait(std::chrono::nanoseconds patience) const;
  // Of a stopped process; false when it is gone.
  bool read(Registers& registers) const;
  bool write(const Registers& registers) const;
  // What the kernel keeps of a stopped process besides its registers and tells its tracer alone:
  // blocked signals, the list of robust futexes, restartable sequences and the dispatch of system
  // calls.
  std::string kernel_state() const;
  // The process will continue at the stop's place without the call.
  static void skip_call(Registers& registers);

 private:
  bool look_at(Stop& stop) const;
  pid_t pid_;
};

}  // namespace azr
