#include "fork_zygote.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "jail.h"
#include "unique_fd.h"

namespace azr {
namespace {

// A child's end is waited for as a signal that is never delivered.
sigset_t sigchld() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return set;
}

void block_sigchld() {
  struct sigaction ends_only{};
  ends_only.sa_handler = SIG_DFL;
  ends_only.sa_flags = SA_NOCLDSTOP;
  ::sigaction(SIGCHLD, &ends_only, nullptr);
  const sigset_t set = sigchld();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

struct Ending {
  int status = 0;
  rusage usage{};
};

bool reap(pid_t child, int options, Ending& ending) {
  pid_t got;
  do {
    got = ::wait4(child, &ending.status, options, &ending.usage);
  } while (got < 0 && errno == EINTR);
  return got == child;
}

// Most programs end before anybody could want to kill them: of those the broker hears once. A
// signal left over from an earlier child only ends the wait early.
bool reap_quickly(pid_t child, Ending& ending) {
  static constexpr timespec kQuick{0, 5'000'000};
  const sigset_t set = sigchld();
  ::sigtimedwait(&set, nullptr, &kQuick);
  return reap(child, WNOHANG, ending);
}

DoneReport done_report(const Ending& ending) {
  const auto us = [](const timeval& t) { return int64_t{t.tv_sec} * 1'000'000 + t.tv_usec; };
  const rusage& usage = ending.usage;
  return {.wait_status = ending.status,
          .cpu_us = us(usage.ru_utime) + us(usage.ru_stime),
          .max_rss_kib = usage.ru_maxrss,
          .faults = usage.ru_minflt + usage.ru_majflt};
}

// For the broker to kill it by. Not yet reaped, so this is the child and no other process.
void announce(pid_t child) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  const int handle = pidfd.get();
  if (pidfd) send_message(kControlFd, MessageType::kStarted, {}, {&handle, 1});
  if (!pidfd) ::kill(child, SIGKILL);
}

// No program can make a process. Should one exist all the same, it is now a child of init, and
// ends with it.
void expect_no_orphans() {
  if (::waitpid(-1, nullptr, WNOHANG) >= 0) ::_exit(1);
}

void report(const DoneReport& done) {
  if (!send_message(kControlFd, MessageType::kDone, as_bytes(done), {})) ::_exit(0);
}

}  // namespace

ForkZygote::ForkZygote(const ChildSetup& setup) : setup_(setup), is_init_(::getpid() == 1) {}

// Writes to the stack only, and forks without asking Python again: a huge page that the zygote
// wrote to is split for good, and the next forks copy its 512 entries.
void ForkZygote::serve() {
  block_sigchld();
  TaskHeader job;
  UniqueFd stdin_fd;
  while (receive_task(kControlFd, job, stdin_fd)) run(job, std::exchange(stdin_fd, UniqueFd()));
  ::_exit(0);  // the broker is gone
}

void ForkZygote::run(const TaskHeader& job, UniqueFd stdin_fd) {
  const pid_t pid = setup_.jail != nullptr ? fork_jailed() : ::fork();
  if (pid == 0) {
    setup_.job = &job;
    setup_.stdin_fd = stdin_fd.get();
    run_child(setup_);
  }
  stdin_fd.reset();
  if (pid < 0) return report({.unmade = true});
  Ending ending;
  if (!reap_quickly(pid, ending)) {
    announce(pid);
    reap(pid, 0, ending);
  }
  if (is_init_) expect_no_orphans();
  report(done_report(ending));
}

}  // namespace azr
