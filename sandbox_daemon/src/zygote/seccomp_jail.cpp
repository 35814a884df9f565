// What a program in a jail may do besides: its processes, files and sockets are in namespaces of
// its own, and end with it. Still refused: running other programs, namespaces, sockets of the
// network.
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <csignal>
#include <utility>

#include "seccomp.h"

namespace azr {
namespace {

using Kind = ArgumentTest::Kind;

constexpr uint32_t kAllowed[] = {
    // files, below the one folder that the mounts and Landlock leave
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_utimensat,
    SYS_ftruncate,
    SYS_truncate,
    SYS_fallocate,
    SYS_openat,
    // processes and threads, which wait for each other by the words of any memory that they share
    SYS_setpgid,
    SYS_setsid,
    SYS_getpgid,
    SYS_getsid,
    SYS_getpriority,
    SYS_sched_getaffinity,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_futex,
    SYS_set_robust_list,
    // messages between them
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_setsockopt,
    SYS_getsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
#if defined(__x86_64__)
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_renameat,
    SYS_link,
    SYS_symlink,
    SYS_chmod,
    SYS_creat,
    SYS_utime,
    SYS_utimes,
    SYS_open,
    SYS_fork,
    SYS_vfork,
#endif
};

constexpr uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// The kernel keeps SIGKILL from process 1 of a namespace, which the program is: by these calls it
// would go on. They are refused, and its handler tells that it killed itself (end_handler.cpp).
void add_signals(std::vector<SyscallRule>& rules) {
  const auto signal = [&](uint32_t number, uint8_t signal, std::vector<uint32_t> itself) {
    rules.push_back({number,
                     SyscallAction::kAllow,
                     {{Kind::kNoneOf, signal, {SIGKILL}}, {Kind::kNoneOf, 0, std::move(itself)}}});
  };
  signal(SYS_kill, 1, {0, 1});
  signal(SYS_tkill, 1, {1});
  signal(SYS_tgkill, 2, {1});
}

}  // namespace

std::vector<SyscallRule> jail_rules() {
  std::vector<SyscallRule> rules;
  for (const uint32_t number : kAllowed) rules.push_back({number, SyscallAction::kAllow});
  add_signals(rules);
  rules.push_back({SYS_clone, SyscallAction::kAllow, {{Kind::kMaskZero, 0, {kNamespaces}}}});
  for (const uint32_t number : {SYS_socket, SYS_socketpair}) {
    rules.push_back({number, SyscallAction::kAllow, {{Kind::kOneOf, 0, {AF_UNIX}}}});
  }
  rules.push_back({SYS_fcntl,
                   SyscallAction::kAllow,
                   {{Kind::kOneOf,
                     1,
                     {F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ,
                      F_GETLK, F_SETLK, F_SETLKW}}},
                   SyscallAction::kEperm});
  return rules;
}

}  // namespace azr
