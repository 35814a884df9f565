// Which system calls a program may make. What Python needs for pure computation is allowed; what a
// well-meaning program might try and handle is answered with an errno; the rest is a refusal that
// ends the program with the verdict `denied`.
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <csignal>

#include "seccomp.h"

namespace azr {
namespace {

using Kind = ArgumentTest::Kind;

constexpr uint32_t kAllowed[] = {
    // memory
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_membarrier,
    // descriptors and files, to read
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_lseek,
    SYS_close,
    SYS_close_range,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_umask,
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_eventfd2,
    // own signals and waiting
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_setitimer,
    SYS_getitimer,
    SYS_restart_syscall,
    SYS_wait4,
    SYS_waitid,
    // time
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_times,
    SYS_getrusage,
    // about itself and the machine
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getpgid,
    SYS_getsid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_capget,
    SYS_uname,
    SYS_sysinfo,
    SYS_getpriority,
    SYS_sched_getaffinity,
    SYS_sched_yield,
    SYS_getcpu,
    SYS_getrandom,
    // the C library's own
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_set_tid_address,
    SYS_rseq,
    // the end
    SYS_exit,
    SYS_exit_group,
#if defined(__x86_64__)
    SYS_dup2,
    SYS_pipe,
    SYS_stat,
    SYS_lstat,
    SYS_readlink,
    SYS_access,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_alarm,
    SYS_pause,
    SYS_time,
    SYS_getpgrp,
#endif
};

// Changes to files, as on a read-only file system.
constexpr uint32_t kReadOnly[] = {
    SYS_mkdirat,   SYS_unlinkat,  SYS_renameat2, SYS_linkat,    SYS_symlinkat,
    SYS_mknodat,   SYS_fchmod,    SYS_fchmodat,  SYS_fchown,    SYS_fchownat,
    SYS_utimensat, SYS_ftruncate, SYS_truncate,  SYS_fallocate,
#if defined(__x86_64__)
    SYS_mkdir,     SYS_rmdir,     SYS_unlink,    SYS_rename,    SYS_renameat,
    SYS_link,      SYS_symlink,   SYS_mknod,     SYS_chmod,     SYS_chown,
    SYS_lchown,    SYS_creat,     SYS_utime,     SYS_utimes,    SYS_futimesat,
#endif
};

// Changes to the process itself that libraries try without need.
constexpr uint32_t kForbidden[] = {
    SYS_prctl,
    SYS_setrlimit,
    SYS_setpriority,
    SYS_sched_setaffinity,
    SYS_sched_setscheduler,
    SYS_setpgid,
    SYS_setsid,
    SYS_setuid,
    SYS_setgid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_mlock,
    SYS_mlockall,
    SYS_memfd_create,
    SYS_personality,
    SYS_sync,
    SYS_getxattr,
    SYS_lgetxattr,
    SYS_fgetxattr,
    SYS_listxattr,
    SYS_llistxattr,
    SYS_flistxattr,
};

// flock would reach others' locks through a descriptor that may only read.
constexpr uint32_t kAbsent[] = {
    SYS_openat2, SYS_sendfile,      SYS_copy_file_range, SYS_get_mempolicy,
    SYS_mbind,   SYS_set_mempolicy, SYS_flock,
};

// Without effect on what a program sees, but not on the disk and the page cache of the machine.
constexpr uint32_t kPretended[] = {SYS_fsync, SYS_fdatasync, SYS_fadvise64};

constexpr uint32_t kWriteFlags = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;

template <typename Numbers>
void add(std::vector<SyscallRule>& rules, const Numbers& numbers, SyscallAction action) {
  for (const uint32_t number : numbers) rules.push_back({number, action, {}});
}

void replace(std::vector<SyscallRule>& rules, const std::vector<SyscallRule>& others) {
  for (const auto& other : others)
    std::erase_if(rules, [&](const SyscallRule& rule) { return rule.number == other.number; });
  rules.insert(rules.end(), others.begin(), others.end());
}

// In its zygote's pid namespace a program is alone with init.
void add_signals(std::vector<SyscallRule>& rules, FilterUse use) {
  const ArgumentTest self{
      use.inherited ? Kind::kNotInit : Kind::kOwnPid, 0, {}, SyscallAction::kTrap};
  for (const uint32_t number : {SYS_kill, SYS_tkill, SYS_tgkill}) {
    rules.push_back({number, SyscallAction::kAllow, self});
  }
  // The handler that names a refused call stays; queued and pidfd signals are refused outright.
  rules.push_back({SYS_rt_sigaction,
                   SyscallAction::kAllow,
                   {Kind::kNotEqual, 0, {SIGSYS}, SyscallAction::kEperm}});
}

constexpr uint32_t kForkFlags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;  // of fork(3)

// A process or a thread is refused as where there is no room for one: by the rlimit where a zygote
// must fork under the same filter.
void add_tasks(std::vector<SyscallRule>& rules, FilterUse use) {
  const auto fork = use.inherited ? SyscallAction::kAllow : SyscallAction::kEagain;
  rules.push_back({SYS_clone, fork, {Kind::kOneOf, 0, {kForkFlags}, SyscallAction::kEperm}});
  rules.push_back({SYS_clone3, SyscallAction::kEnosys, {}});  // libraries fall back to clone
}

// What a zygote does besides, and its child before the program: limits, which can only be lowered.
void add_zygote_work(std::vector<SyscallRule>& rules) {
  for (const uint32_t number : {SYS_sendmsg, SYS_recvmsg, SYS_pidfd_open}) {
    rules.push_back({number, SyscallAction::kAllow, {}});
  }
}

// Limits may be read; its own, if they are not set yet, also be set.
void add_limits(std::vector<SyscallRule>& rules, FilterUse use) {
  const uint8_t index = use.inherited ? 0 : 2;  // whose; the new limit
  rules.push_back(
      {SYS_prlimit64, SyscallAction::kAllow, {Kind::kNull, index, {}, SyscallAction::kEperm}});
}

void add_opens(std::vector<SyscallRule>& rules, bool writes_by_mount) {
  ArgumentTest read_only{Kind::kMaskZero, 2, {kWriteFlags}, SyscallAction::kErofs};
  if (writes_by_mount) read_only = {};
  rules.push_back({SYS_openat, SyscallAction::kAllow, read_only});
#if defined(__x86_64__)
  if (!writes_by_mount) read_only.index = 1;
  rules.push_back({SYS_open, SyscallAction::kAllow, read_only});
#endif
}

}  // namespace

std::vector<SyscallRule> program_rules(FilterUse use) {
  std::vector<SyscallRule> rules;
  add(rules, kAllowed, SyscallAction::kAllow);
  add(rules, kReadOnly, SyscallAction::kErofs);
  add(rules, kForbidden, SyscallAction::kEperm);
  add(rules, kAbsent, SyscallAction::kEnosys);
  add(rules, kPretended, SyscallAction::kPretend);
  add_signals(rules, use);
  add_tasks(rules, use);
  add_limits(rules, use);
  if (use.inherited) add_zygote_work(rules);
  add_opens(rules, use.writes_by_mount);
  rules.push_back({SYS_ioctl,
                   SyscallAction::kAllow,
                   {Kind::kOneOf,
                    1,
                    {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX},
                    SyscallAction::kEperm}});
  rules.push_back({SYS_fcntl,
                   SyscallAction::kAllow,
                   {Kind::kOneOf,
                    1,
                    {F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ},
                    SyscallAction::kEperm}});
  if (use.jail) replace(rules, jail_rules());
  return rules;
}

}  // namespace azr
