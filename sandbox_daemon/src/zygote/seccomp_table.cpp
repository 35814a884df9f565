// Which system calls a program may make. What Python needs for pure computation is allowed; what a
// well-meaning program might try and handle is answered with an errno; the rest is a refusal that
// ends the program with the verdict `denied`.
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <csignal>

#include "seccomp.h"

namespace azr {
namespace {

using Kind = ArgumentTest::Kind;

constexpr uint32_t kAllowed[] = {
    // memory
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
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
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_times,
    SYS_getrusage,
    // about itself and the machine
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_capget,
    SYS_uname,
    SYS_sched_yield,
    SYS_getcpu,
    SYS_getrandom,
    // the C library's own
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

// flock would reach others' locks through a descriptor that may only read; the end of a process
// with a robust list wakes whoever waits for a word of a file; a memory barrier of all interrupts
// the processes of others; and how full a disk is drifts with what others do. So does what sysinfo
// tells: it is stopped, and answered by the handler (answers.h).
constexpr uint32_t kAbsent[] = {
    SYS_openat2, SYS_sendfile,        SYS_copy_file_range, SYS_get_mempolicy,
    SYS_mbind,   SYS_set_mempolicy,   SYS_flock,           SYS_set_robust_list,
    SYS_statfs,  SYS_get_robust_list, SYS_fstatfs,         SYS_membarrier,
};

// Without effect on what a program sees, but not on the disk and the page cache of the machine.
constexpr uint32_t kPretended[] = {SYS_fsync, SYS_fdatasync, SYS_fadvise64};

constexpr uint32_t kWriteFlags = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;

template <typename Numbers>
void add(std::vector<SyscallRule>& rules, const Numbers& numbers, SyscallAction action) {
  for (const uint32_t number : numbers) rules.push_back({number, action});
}

void replace(std::vector<SyscallRule>& rules, const std::vector<SyscallRule>& others) {
  for (const auto& other : others)
    std::erase_if(rules, [&](const SyscallRule& rule) { return rule.number == other.number; });
  rules.insert(rules.end(), others.begin(), others.end());
}

// In its zygote's pid namespace a program is alone with init.
void add_signals(std::vector<SyscallRule>& rules, FilterUse use) {
  const ArgumentTest self{use.inherited ? Kind::kNotInit : Kind::kOwnPid, 0};
  for (const uint32_t number : {SYS_kill, SYS_tkill, SYS_tgkill}) {
    rules.push_back({number, SyscallAction::kAllow, {self}});
  }
  // The handler that names a refused call stays; queued and pidfd signals are refused outright.
  rules.push_back({SYS_rt_sigaction,
                   SyscallAction::kAllow,
                   {{Kind::kNoneOf, 0, {SIGSYS}}},
                   SyscallAction::kEperm});
}

// What tells about a process: of itself, where others could be seen.
void add_questions(std::vector<SyscallRule>& rules, FilterUse use) {
  const auto ask = [&](uint32_t number, uint8_t index) {
    rules.push_back({number,
                     SyscallAction::kAllow,
                     {{Kind::kOneOf, index, {0}}, {Kind::kOwnPid, index}},
                     SyscallAction::kEperm});
    if (use.inherited) rules.back() = {number, SyscallAction::kAllow};
  };
  for (const uint32_t number : {SYS_getpgid, SYS_getsid, SYS_sched_getaffinity}) ask(number, 0);
  ask(SYS_getpriority, 1);
}

constexpr uint32_t kForkFlags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;  // of fork(3)

// A process or a thread is refused as where there is no room for one: by the rlimit where a zygote
// must fork under the same filter.
void add_tasks(std::vector<SyscallRule>& rules, FilterUse use) {
  const auto fork = use.inherited ? SyscallAction::kAllow : SyscallAction::kEagain;
  rules.push_back({SYS_clone, fork, {{Kind::kOneOf, 0, {kForkFlags}}}, SyscallAction::kEperm});
  rules.push_back({SYS_clone3, SyscallAction::kEnosys});  // libraries fall back to clone
}

// What a zygote does besides.
void add_zygote_work(std::vector<SyscallRule>& rules) {
  for (const uint32_t number : {SYS_sendmsg, SYS_recvmsg}) {
    rules.push_back({number, SyscallAction::kAllow});
  }
  rules.push_back({SYS_pidfd_open, SyscallAction::kAllow, {{Kind::kNotInit, 0}}});
}

constexpr uint32_t kClocks = 12;  // others are of a process, by its pid, or of a device

// A futex of the process's own: one that is not private is known by the page of a file, which all
// programs may map.
void add_waits(std::vector<SyscallRule>& rules) {
  rules.push_back({SYS_futex, SyscallAction::kAllow, {{Kind::kMaskSet, 1, {FUTEX_PRIVATE_FLAG}}}});
  for (const uint32_t number : {SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep}) {
    rules.push_back(
        {number, SyscallAction::kAllow, {{Kind::kBelow, 0, {kClocks}}}, SyscallAction::kEperm});
  }
}

// Neither the machine's store of huge pages, nor pages merged with those of others or read ahead
// for all.
void add_memory(std::vector<SyscallRule>& rules) {
  rules.push_back({SYS_mmap,
                   SyscallAction::kAllow,
                   {{Kind::kMaskZero, 3, {MAP_HUGETLB}}},
                   SyscallAction::kEperm});
  rules.push_back(
      {SYS_madvise,
       SyscallAction::kAllow,
       {{Kind::kOneOf,
         2,
         {MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_NORMAL, MADV_RANDOM,
          MADV_SEQUENTIAL, MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP}}},
       SyscallAction::kEperm});
}

// What concerns a descriptor: no locks, leases and notices of files, which other processes see, and
// no owner, to whom signals would go.
void add_controls(std::vector<SyscallRule>& rules) {
  rules.push_back({SYS_ioctl,
                   SyscallAction::kAllow,
                   {{Kind::kOneOf, 1, {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX}}},
                   SyscallAction::kEperm});
  rules.push_back({SYS_fcntl,
                   SyscallAction::kAllow,
                   {{Kind::kOneOf,
                     1,
                     {F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ}}},
                   SyscallAction::kEperm});
}

// Its own limits may be read and lowered.
void add_limits(std::vector<SyscallRule>& rules) {
  rules.push_back(
      {SYS_prlimit64, SyscallAction::kAllow, {{Kind::kOneOf, 0, {0}}}, SyscallAction::kEperm});
}

void add_opens(std::vector<SyscallRule>& rules, bool writes_by_mount) {
  const auto open = [&](uint32_t number, uint8_t flags) {
    rules.push_back({number,
                     SyscallAction::kAllow,
                     {{Kind::kMaskZero, flags, {kWriteFlags}}},
                     SyscallAction::kErofs});
    if (writes_by_mount) rules.back() = {number, SyscallAction::kAllow};
  };
  open(SYS_openat, 2);
#if defined(__x86_64__)
  open(SYS_open, 1);
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
  add_questions(rules, use);
  add_tasks(rules, use);
  add_waits(rules);
  add_memory(rules);
  add_controls(rules);
  add_limits(rules);
  if (use.inherited) add_zygote_work(rules);
  add_opens(rules, use.writes_by_mount);
  if (use.jail) replace(rules, jail_rules());
  return rules;
}

}  // namespace azr
