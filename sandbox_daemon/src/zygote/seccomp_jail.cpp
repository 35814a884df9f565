// What a program in a jail may do besides: its processes, files and sockets are in namespaces of
// its own, and end with it. Still refused: running other programs, namespaces, sockets of the
// network.
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

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
    // processes
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_setpgid,
    SYS_setsid,
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

}  // namespace

std::vector<SyscallRule> jail_rules() {
  std::vector<SyscallRule> rules;
  for (const uint32_t number : kAllowed) rules.push_back({number, SyscallAction::kAllow, {}});
  const auto allow_if = [&](uint32_t number, ArgumentTest test) {
    rules.push_back({number, SyscallAction::kAllow, std::move(test)});
  };
  allow_if(SYS_clone, {Kind::kMaskZero, 0, {kNamespaces}, SyscallAction::kTrap});
  allow_if(SYS_socket, {Kind::kOneOf, 0, {AF_UNIX}, SyscallAction::kTrap});
  allow_if(SYS_socketpair, {Kind::kOneOf, 0, {AF_UNIX}, SyscallAction::kTrap});
  allow_if(SYS_fcntl, {Kind::kOneOf,
                       1,
                       {F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ,
                        F_GETLK, F_SETLK, F_SETLKW},
                       SyscallAction::kEperm});
  return rules;
}

}  // namespace azr
