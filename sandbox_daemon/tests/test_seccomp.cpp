// The filter against its table: every system call.
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <csignal>
#include <map>

#include "bpf.h"

namespace {

using namespace azr;

constexpr uint64_t kForkFlags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
constexpr uint64_t kOtherTasks[] = {SIGCHLD, CLONE_THREAD, CLONE_VM | CLONE_VFORK | SIGCHLD,
                                    kForkFlags | CLONE_NEWUSER, kForkFlags | CLONE_PARENT};

uint32_t simple_return(SyscallAction action) {
  switch (action) {
    case SyscallAction::kAllow:
      return SECCOMP_RET_ALLOW;
    case SyscallAction::kEperm:
      return kEperm;
    case SyscallAction::kErofs:
      return kErofs;
    case SyscallAction::kEnosys:
      return SECCOMP_RET_ERRNO | ENOSYS;
    case SyscallAction::kEagain:
      return SECCOMP_RET_ERRNO | EAGAIN;
    case SyscallAction::kPretend:
      return SECCOMP_RET_ERRNO | 0;
    default:
      return SECCOMP_RET_TRAP;
  }
}

void every_number(FilterUse use) {
  const auto rules = program_rules(use);
  std::map<uint32_t, const SyscallRule*> table;
  for (const auto& rule : rules) {
    EXPECT(!table.contains(rule.number));  // one rule each
    table[rule.number] = &rule;
  }
  const SyscallFilter filter(rules);
  for (uint32_t number = 0; number < 2000; ++number) {
    const auto found = table.find(number);
    if (found != table.end() && !found->second->any_of.empty()) continue;
    const auto expected =
        found == table.end() ? SECCOMP_RET_TRAP : simple_return(found->second->action);
    EXPECT(evaluate(filter.program(), call(number)) == expected);
  }
  for (const uint32_t odd : {0x40000000u, 0x40000001u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT(evaluate(filter.program(), call(static_cast<int>(odd))) == SECCOMP_RET_TRAP);
  }
}

void other_architecture() {
  const SyscallFilter filter(program_rules(kOne));
  seccomp_data data = call(SYS_read);
  data.arch = AUDIT_ARCH_I386;
  EXPECT(evaluate(filter.program(), data) == SECCOMP_RET_KILL_PROCESS);
}

void arguments() {
  SyscallFilter filter(program_rules({}));
  filter.bind(42);
  const auto verdict = [&](const seccomp_data& data) { return evaluate(filter.program(), data); };
  for (const long number : {SYS_kill, SYS_tkill, SYS_tgkill}) {
    EXPECT(verdict(call(number, {42, 42})) == SECCOMP_RET_ALLOW);
    for (const uint64_t other : {0ull, 1ull, 43ull, ~0ull, 42ull << 32}) {
      EXPECT(verdict(call(number, {other, 42})) == SECCOMP_RET_TRAP);
    }
  }
  for (const long number : {SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal}) {
    EXPECT(verdict(call(number, {42, 42})) == SECCOMP_RET_TRAP);
  }
  EXPECT(verdict(call(SYS_rt_sigaction, {SIGINT})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_rt_sigaction, {SIGSYS})) == kEperm);
  EXPECT(verdict(call(SYS_openat, {0, 0, O_RDONLY | O_CLOEXEC})) == SECCOMP_RET_ALLOW);
  for (const uint64_t flags : {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC}) {
    EXPECT(verdict(call(SYS_openat, {0, 0, flags})) == kErofs);
  }
  EXPECT(verdict(call(SYS_ioctl, {1, TCGETS})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_ioctl, {1, TIOCSTI})) == kEperm);
  EXPECT(verdict(call(SYS_fcntl, {1, F_GETFL})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_fcntl, {1, F_SETOWN, 1})) == kEperm);
  EXPECT(verdict(call(SYS_prlimit64, {0, 0, 0})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_prlimit64, {42, 0, 0})) == kEperm);
  EXPECT(verdict(call(SYS_clone, {kForkFlags})) == (SECCOMP_RET_ERRNO | EAGAIN));
  for (const uint64_t flags : kOtherTasks) EXPECT(verdict(call(SYS_clone, {flags})) == kEperm);
}

// What a zygote needs is allowed, and nothing by which its children could reach it or each other.
void inherited() {
  const SyscallFilter filter(program_rules(kInherited));
  const auto verdict = [&](const seccomp_data& data) { return evaluate(filter.program(), data); };
  for (const long number : {SYS_sendmsg, SYS_recvmsg, SYS_wait4, SYS_rt_sigtimedwait}) {
    EXPECT(verdict(call(number)) == SECCOMP_RET_ALLOW);
  }
  EXPECT(verdict(call(SYS_clone, {kForkFlags})) == SECCOMP_RET_ALLOW);
  for (const uint64_t flags : kOtherTasks) EXPECT(verdict(call(SYS_clone, {flags})) == kEperm);
  for (const long number : {SYS_kill, SYS_tkill, SYS_tgkill}) {
    for (const uint64_t pid : {2ull, 42ull, 0x7fffffffull}) {
      EXPECT(verdict(call(number, {pid, 9})) == SECCOMP_RET_ALLOW);
    }
    for (const uint64_t pid : {0ull, 1ull, 0xffffffffull, ~0ull, 1ull << 32 | 1, 0x80000002ull}) {
      EXPECT(verdict(call(number, {pid, 9})) == SECCOMP_RET_TRAP);
    }
  }
  EXPECT(verdict(call(SYS_pidfd_open, {2})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_pidfd_open, {1})) == SECCOMP_RET_TRAP);
  EXPECT(verdict(call(SYS_prlimit64, {0, 7, 8})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_prlimit64, {1, 7, 8})) == kEperm);
  EXPECT(verdict(call(SYS_rt_sigaction, {SIGSYS})) == kEperm);
}

void refused_calls(FilterUse use) {
  const SyscallFilter filter(program_rules(use));
  for (const long number : {SYS_fsync, SYS_fdatasync, SYS_fadvise64}) {
    EXPECT(evaluate(filter.program(), call(number)) == SECCOMP_RET_ERRNO);
  }
  EXPECT(evaluate(filter.program(), call(SYS_flock)) == kEnosys);
  for (const long number :
       {SYS_execve, SYS_execveat, SYS_socket, SYS_socketpair, SYS_connect, SYS_ptrace, SYS_mount,
        SYS_unshare, SYS_setns, SYS_bpf, SYS_io_uring_setup, SYS_process_vm_writev, SYS_keyctl,
        SYS_init_module, SYS_reboot, SYS_pidfd_getfd, SYS_userfaultfd, SYS_perf_event_open}) {
    EXPECT(evaluate(filter.program(), call(number)) == SECCOMP_RET_TRAP);
  }
}

}  // namespace

int main() {
  for (const FilterUse use : {kOne, kInherited, kJail}) every_number(use);
  other_architecture();
  arguments();
  inherited();
  refused_calls(kOne);
  refused_calls(kInherited);
  return test_result();
}
