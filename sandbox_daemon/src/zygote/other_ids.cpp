#include "other_ids.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "answers.h"
#include "first_pid.h"
#include "seccomp.h"

namespace azr {
namespace {

using Kind = ArgumentTest::Kind;

constexpr uint32_t kApart = 1000;  // more processes than a jail may have

// Of these, asks_for_id() and names_id() answer what is stopped.
constexpr uint32_t kAsking[] = {SYS_getpid, SYS_gettid, SYS_getppid};
constexpr uint32_t kNaming[] = {SYS_kill,   SYS_tkill,   SYS_tgkill,           SYS_getpgid,
                                SYS_getsid, SYS_setpgid, SYS_sched_getaffinity};

std::vector<SyscallRule> rules_for(uint32_t other) {
  std::vector<SyscallRule> rules;
  for (const uint32_t number : kAsking) {
    rules.push_back({number, SyscallAction::kAllow, {{Kind::kOneOf, 0, {kTruth}}}});
  }
  for (const uint32_t number : kNaming) {
    rules.push_back({number, SyscallAction::kAllow, {{Kind::kNoneOf, 0, {other}}}});
  }
  return rules;
}

}  // namespace

bool tell_other_ids(uint32_t replica) {
  use_up_process_ids(replica);  // other processes of the program have other numbers as well
  const uint32_t other = 1 + kApart * replica;
  answers().other_id = other;
  return SyscallFilter(rules_for(other), SyscallAction::kAllow).install(true_process_id());
}

pid_t true_process_id() { return static_cast<pid_t>(::syscall(SYS_getpid, kTruth)); }

}  // namespace azr
