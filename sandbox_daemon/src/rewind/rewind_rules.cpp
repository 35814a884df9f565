#include "rewind_rules.h"

#include <linux/futex.h>
#include <sys/mman.h>

#include <ctime>

namespace azr {
namespace {

using Kind = ArgumentTest::Kind;

// Random numbers leave no trace but in the kernel's own pool. Not the ids of processes, which count
// the runners that were killed; nor restart_syscall, which could go on with the wait of a program
// before.
constexpr uint32_t kRunner[] = {
    SYS_read,    SYS_write,  SYS_nanosleep, SYS_sched_yield, SYS_getuid,
    SYS_geteuid, SYS_getgid, SYS_getegid,   SYS_getrandom,
};

constexpr uint32_t kSupervisor[] = {
    SYS_futex,
    SYS_clock_nanosleep,
    // for every program
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_ptrace,
    SYS_wait4,
    SYS_rt_sigtimedwait,
    SYS_ioctl,
    SYS_fstat,
    SYS_newfstatat,
    SYS_lseek,
    SYS_fallocate,
    SYS_restart_syscall,
    SYS_clock_gettime,  // where the C library cannot read the clock without a call
    // to compare it with what it was, for a checker
    SYS_readlinkat,
    SYS_get_robust_list,
    // to make a runner
    SYS_clone,
    SYS_kill,
    SYS_pidfd_open,
    SYS_memfd_create,
    SYS_ftruncate,
    SYS_socketpair,
    SYS_openat,
    SYS_close,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_brk,
    SYS_exit,
    SYS_exit_group,
    // to become one
    SYS_getpid,
    SYS_gettid,
    SYS_prctl,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_tgkill,
    SYS_tkill,
    SYS_pwrite64,
    SYS_userfaultfd,
    SYS_dup,
    SYS_dup2,
    SYS_dup3,
    SYS_fcntl,
    SYS_close_range,
    SYS_prlimit64,
    SYS_setrlimit,
    SYS_seccomp,
};

template <typename Numbers>
void allow(std::vector<SyscallRule>& rules, const Numbers& numbers) {
  for (const uint32_t number : numbers) rules.push_back({number, SyscallAction::kAllow});
}

}  // namespace

std::vector<SyscallRule> runner_rules() {
  std::vector<SyscallRule> rules;
  allow(rules, kRunner);
  // Not one that another process can name: by a page of a file.
  rules.push_back({SYS_futex,
                   SyscallAction::kAllow,
                   {{Kind::kMaskSet, 1, {FUTEX_PRIVATE_FLAG}}},
                   SyscallAction::kTrace});
  // Asked for where the C library cannot read them without a call. Not CPU time: it tells of
  // others.
  for (const uint32_t number : {SYS_clock_gettime, SYS_clock_nanosleep}) {
    rules.push_back({number,
                     SyscallAction::kAllow,
                     {{Kind::kOneOf,
                       0,
                       {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                        CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME}}},
                     SyscallAction::kTrace});
  }
  // numpy's wish for its large arrays, which changes nothing that a program could see.
  rules.push_back({SYS_madvise,
                   SyscallAction::kPretend,
                   {{Kind::kOneOf, 2, {MADV_HUGEPAGE}}},
                   SyscallAction::kTrace});
  return rules;
}

std::vector<SyscallRule> supervisor_rules() {
  std::vector<SyscallRule> rules;
  allow(rules, kRunner);
  allow(rules, kSupervisor);
  return rules;
}

}  // namespace azr
