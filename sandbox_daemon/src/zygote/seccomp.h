// The system-call filter of a program: a BPF binary tree built from a table. Where a zygote is the
// init of its own pid namespace it takes the filter once and its children inherit it; elsewhere
// each child installs one that is bound to its own pid. No library besides libc.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace azr {

// What the filter answers. A refusal (kTrap) raises SIGSYS, kTrace stops for whoever traces; the
// others return an errno, and kPretend success.
enum class SyscallAction : uint8_t {
  kAllow,
  kTrap,
  kTrace,
  kEperm,
  kErofs,
  kEnosys,
  kEagain,
  kPretend
};

// A condition on the low word of one argument: what the kernel looks at where an argument is an
// int.
struct ArgumentTest {
  // kOwnPid: the pid the filter is bound to. kNotInit: a pid above 1, so neither init nor a group.
  enum class Kind : uint8_t { kOneOf, kNoneOf, kMaskZero, kMaskSet, kBelow, kOwnPid, kNotInit };
  Kind kind;
  uint8_t index;
  std::vector<uint32_t> values = {};  // kOneOf, kNoneOf: all of them; kMask…, kBelow: values[0]
};

struct SyscallRule {
  uint32_t number;
  SyscallAction action;
  std::vector<ArgumentTest> any_of = {};  // the action holds when one test passes, or there is none
  SyscallAction otherwise = SyscallAction::kTrap;
};

struct FilterUse {
  // The mounts keep files from being written, so that opening /dev/null for writing works; without,
  // every open for writing is refused here.
  bool writes_by_mount = false;
  // A zygote takes it and its children inherit it: it lets a zygote do its work (fork, messages),
  // which is out of a program's reach for want of room for a process and of sockets.
  bool inherited = false;
  // Processes, threads, files, and sockets within the program's own namespaces.
  bool jail = false;
};

// What a program in a jail may do beyond the table; these take the place of the table's rules.
std::vector<SyscallRule> jail_rules();

// The table.
std::vector<SyscallRule> program_rules(FilterUse use);

class SyscallFilter {
 public:
  // Every number outside `rules` is trapped, or what else `others` says.
  explicit SyscallFilter(const std::vector<SyscallRule>& rules,
                         SyscallAction others = SyscallAction::kTrap);

  // Binds the rules about the own pid to `pid` and installs the filter in this thread, for good.
  bool install(pid_t pid);
  const std::vector<sock_filter>& program() const { return code_; }
  void bind(pid_t pid);

 private:
  std::vector<sock_filter> code_;
  std::vector<size_t> pid_at_;
};

}  // namespace azr
