// What allowed system calls can name that others have too, by their arguments; and that SECURITY.md
// tells of every call that is allowed.
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "bpf.h"
#include "broker/syscall_names.h"
#if defined(__x86_64__)
#include "rewind_rules.h"
#endif

namespace {

using namespace azr;

constexpr long kTimes[] = {SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep};

// By which processes that run side by side could tell each other something.
void shared_things(FilterUse use) {
  const SyscallFilter filter(program_rules(use));
  const auto verdict = [&](const seccomp_data& data) { return evaluate(filter.program(), data); };
  for (const uint64_t operation : {FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_LOCK_PI,
                                   FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 127}) {
    EXPECT(verdict(call(SYS_futex, {0, operation})) == SECCOMP_RET_TRAP);
    EXPECT(verdict(call(SYS_futex, {0, operation | 1ull << 39})) == SECCOMP_RET_TRAP);
    EXPECT(verdict(call(SYS_futex, {0, operation | FUTEX_PRIVATE_FLAG})) == SECCOMP_RET_ALLOW);
  }
  for (const long number : {449, 454, 455, 456}) {  // futex_waitv and those after it
    EXPECT(verdict(call(number)) == SECCOMP_RET_TRAP);
  }
  for (const long number : {SYS_set_robust_list, SYS_get_robust_list, SYS_membarrier}) {
    EXPECT(verdict(call(number)) == kEnosys);
  }
  for (const long number : kTimes) {
    for (const uint64_t clock : {0, 1, 2, 3, 7, 11}) {
      EXPECT(verdict(call(number, {clock})) == SECCOMP_RET_ALLOW);
    }
    for (const uint64_t clock : {12ull, 0xfffffffaull, ~0ull << 3}) {  // a process's, by its pid
      EXPECT(verdict(call(number, {clock})) == kEperm);
    }
  }
  for (const int command :
       {F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_GETLEASE,
        F_NOTIFY, F_SETOWN, F_SETOWN_EX, F_SETSIG, F_ADD_SEALS, F_SETPIPE_SZ}) {
    EXPECT(verdict(call(SYS_fcntl, {3, static_cast<uint64_t>(command)})) == kEperm);
  }
  EXPECT(verdict(call(SYS_sysinfo)) == SECCOMP_RET_TRAP);  // the handler answers
  for (const long number : {SYS_statfs, SYS_fstatfs}) EXPECT(verdict(call(number)) == kEnosys);
}

void shared_memory(FilterUse use) {
  const SyscallFilter filter(program_rules(use));
  const auto verdict = [&](const seccomp_data& data) { return evaluate(filter.program(), data); };
  EXPECT(verdict(call(SYS_mmap, {0, 9, 3, MAP_PRIVATE | MAP_ANONYMOUS})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_mmap, {0, 9, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB})) == kEperm);
  for (const uint64_t advice : {MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NORMAL}) {
    EXPECT(verdict(call(SYS_madvise, {0, 9, advice})) == SECCOMP_RET_ALLOW);
  }
  for (const uint64_t advice : {MADV_MERGEABLE, MADV_WILLNEED, MADV_REMOVE, MADV_HWPOISON}) {
    EXPECT(verdict(call(SYS_madvise, {0, 9, advice})) == kEperm);
  }
}

// Of itself, and of nobody that it would see.
void questions() {
  SyscallFilter filter(program_rules(kOne));
  filter.bind(42);
  const auto verdict = [&](const seccomp_data& data) { return evaluate(filter.program(), data); };
  for (const long number : {SYS_getpgid, SYS_getsid, SYS_sched_getaffinity}) {
    for (const uint64_t pid : {0, 42}) EXPECT(verdict(call(number, {pid})) == SECCOMP_RET_ALLOW);
    for (const uint64_t pid : {1, 43}) EXPECT(verdict(call(number, {pid})) == kEperm);
  }
  EXPECT(verdict(call(SYS_getpriority, {1, 0})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_getpriority, {0, 43})) == kEperm);
}

// SIGKILL of process 1, which the program is, and of nobody else.
void jail() {
  const SyscallFilter filter(program_rules(kJail));
  const auto verdict = [&](const seccomp_data& data) { return evaluate(filter.program(), data); };
  for (const uint64_t itself : {0, 1}) {
    EXPECT(verdict(call(SYS_kill, {itself, SIGKILL})) == SECCOMP_RET_TRAP);
    EXPECT(verdict(call(SYS_kill, {itself, SIGTERM})) == SECCOMP_RET_ALLOW);
  }
  EXPECT(verdict(call(SYS_tkill, {1, SIGKILL})) == SECCOMP_RET_TRAP);
  EXPECT(verdict(call(SYS_tgkill, {1, 5, SIGKILL})) == SECCOMP_RET_TRAP);
  EXPECT(verdict(call(SYS_tgkill, {1, 5, SIGTERM})) == SECCOMP_RET_ALLOW);
  for (const uint64_t other : {2ull, 7ull, ~0ull, 0xfffffffeull}) {
    EXPECT(verdict(call(SYS_kill, {other, SIGKILL})) == SECCOMP_RET_ALLOW);
    EXPECT(verdict(call(SYS_tgkill, {other, other, SIGKILL})) == SECCOMP_RET_ALLOW);
  }
  EXPECT(verdict(call(SYS_futex, {0, FUTEX_WAIT})) == SECCOMP_RET_ALLOW);  // pools of processes
  EXPECT(verdict(call(SYS_fcntl, {3, F_SETLK})) == SECCOMP_RET_ALLOW);     // databases
  for (const int command : {F_OFD_SETLK, F_SETLEASE, F_NOTIFY, F_SETOWN, F_SETSIG}) {
    EXPECT(verdict(call(SYS_fcntl, {3, static_cast<uint64_t>(command)})) == kEperm);
  }
  EXPECT(verdict(call(SYS_socket, {AF_UNIX})) == SECCOMP_RET_ALLOW);
  for (const uint64_t family : {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG}) {
    EXPECT(verdict(call(SYS_socket, {family})) == SECCOMP_RET_TRAP);
  }
  for (const uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID}) {
    EXPECT(verdict(call(SYS_clone, {SIGCHLD | flag})) == SECCOMP_RET_TRAP);
  }
  EXPECT(verdict(call(SYS_clone, {SIGCHLD})) == SECCOMP_RET_ALLOW);
}

#if defined(__x86_64__)
void runner() {
  const SyscallFilter filter(runner_rules(), SyscallAction::kTrace);
  const auto verdict = [&](const seccomp_data& data) { return evaluate(filter.program(), data); };
  EXPECT(verdict(call(SYS_futex, {0, FUTEX_WAIT | FUTEX_PRIVATE_FLAG})) == SECCOMP_RET_ALLOW);
  EXPECT(verdict(call(SYS_futex, {0, FUTEX_WAIT})) == SECCOMP_RET_TRACE);
  for (const long number : {SYS_clock_gettime, SYS_clock_nanosleep}) {
    EXPECT(verdict(call(number, {CLOCK_MONOTONIC})) == SECCOMP_RET_ALLOW);
    for (const uint64_t clock : {2ull, 3ull, 0xfffffffaull}) {
      EXPECT(verdict(call(number, {clock})) == SECCOMP_RET_TRACE);
    }
  }
}
#endif

// What any filter lets through, in some way.
std::set<uint32_t> allowed_calls() {
  std::set<uint32_t> allowed;
  const auto add = [&](const std::vector<SyscallRule>& rules) {
    for (const auto& rule : rules) {
      if (rule.action == SyscallAction::kAllow) allowed.insert(rule.number);
    }
  };
  for (const FilterUse use : {FilterUse{}, kOne, kInherited, kJail}) add(program_rules(use));
#if defined(__x86_64__)
  add(runner_rules());
#endif
  return allowed;
}

void every_allowed_call_is_in_the_table() {
  std::ifstream file(AZR_SECURITY);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT(!text.empty());
  for (const uint32_t number : allowed_calls()) {
    const std::string name(syscall_name(static_cast<int>(number)));
    const bool told = text.find("`" + name + "`") != std::string::npos;
    if (!told) std::printf("%s is not in SECURITY.md\n", name.c_str());
    EXPECT(told);
  }
}

}  // namespace

int main() {
  for (const FilterUse use : {FilterUse{}, kOne, kInherited}) shared_things(use);
  for (const FilterUse use : {FilterUse{}, kOne, kInherited, kJail}) shared_memory(use);
  questions();
  jail();
#if defined(__x86_64__)
  runner();
#endif
  every_allowed_call_is_in_the_table();
  return test_result();
}
