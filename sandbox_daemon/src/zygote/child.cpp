#include "child.h"

#include <Python.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "frames.h"
#include "jail.h"
#include "program.h"
#include "program_limits.h"
#include "request.h"

namespace azr {
namespace {

// The signal handler's way to the region.
RecordWriter g_records;
pid_t g_program = 0;  // a process that it made, in a jail, ends alone and leaves no records

void on_refusal(int, siginfo_t* info, void*) {
  if (::getpid() != g_program) ::_exit(kExitDenied);
  g_records.append({RecordKind::kDenied, Verdict::kDenied, 0, info->si_syscall, {}, {}, {}});
  ::_exit(kExitDenied);
}

}  // namespace

void install_refusal_handler() {
  struct sigaction action{};
  action.sa_sigaction = on_refusal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGSYS, &action, nullptr);
}

bool take_descriptors(int stdin_fd) {
  if (stdin_fd < 0) stdin_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  return ::dup2(stdin_fd, 0) == 0 && ::dup2(kOutFd, 1) == 1 && ::dup2(kErrFd, 2) == 2 &&
         ::close_range(3, ~0U, 0) == 0;
}

void unblock_signals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void run_child(const ChildSetup& setup) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!take_descriptors(setup.stdin_fd)) ::_exit(kExitLimitsFailed);
  unblock_signals();
  PyOS_AfterFork_Child();
  g_records = RecordWriter(setup.region->output(), setup.job->token);
  g_program = ::getpid();
  const Jail* jail = setup.jail;
  if (jail != nullptr && !enter_jail(jail->readable, jail->landlock)) ::_exit(kExitLimitsFailed);
  const Tier tier = jail != nullptr ? Tier::kJail : Tier::kFork;
  if (!apply_program_limits(setup.job->limits, setup.base_bytes, tier)) ::_exit(kExitLimitsFailed);
  if (setup.filter != nullptr && !setup.filter->install(::getpid())) ::_exit(kExitFilterFailed);
  const auto request = read_request({setup.region->input().data(), setup.job->request_bytes});
  if (request) run_program(*setup.job, *request, g_records);
  ::_exit(0);
}

}  // namespace azr
