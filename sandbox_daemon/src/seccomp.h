// The system-call filter of a program: a BPF binary tree built from a table, patched with the
// child's own pid and installed after fork. No library besides libc.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace azr {

// What the filter answers. A refusal (kTrap) raises SIGSYS; the others return an errno, and
// kPretend success.
enum class SyscallAction : uint8_t { kAllow, kTrap, kEperm, kErofs, kEnosys, kPretend };

// A condition on one argument's low (or, for pointers, whole) value.
struct ArgumentTest {
  enum class Kind : uint8_t { kNone, kOneOf, kNotEqual, kMaskZero, kNull, kOwnPid };
  Kind kind = Kind::kNone;
  uint8_t index = 0;
  std::vector<uint32_t> values;                    // kOneOf: the values; else values[0]
  SyscallAction otherwise = SyscallAction::kTrap;  // when the test fails
};

struct SyscallRule {
  uint32_t number;
  SyscallAction action;
  ArgumentTest test;  // the action holds when the test passes
};

// The table. With `writes_by_mount` the mounts keep files from being written, so that opening
// /dev/null for writing works; without, every open for writing is refused here.
std::vector<SyscallRule> program_rules(bool writes_by_mount);

class SyscallFilter {
 public:
  // Every number outside `rules` is trapped.
  explicit SyscallFilter(const std::vector<SyscallRule>& rules);

  // Binds the rules about the own pid to `pid` and installs the filter in this thread, for good.
  bool install(pid_t pid);
  const std::vector<sock_filter>& program() const { return code_; }
  void bind(pid_t pid);

 private:
  std::vector<sock_filter> code_;
  std::vector<size_t> pid_at_;
};

}  // namespace azr
