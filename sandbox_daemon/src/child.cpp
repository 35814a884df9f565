#include "child.h"

#include <pybind11/pybind11.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "frames.h"
#include "program.h"
#include "program_limits.h"
#include "request.h"

namespace azr {
namespace {

RecordWriter g_records;  // the signal handler's way to the region

void on_refusal(int, siginfo_t* info, void*) {
  g_records.append({RecordKind::kDenied, Verdict::kDenied, 0, info->si_syscall, {}, {}, {}});
  ::_exit(kExitDenied);
}

// The control socket is among those closed: a program must not run beside one left open.
bool take_descriptors(const int (&fds)[3]) {
  for (int target = 0; target < 3; ++target) {
    if (fds[target] != target && ::dup2(fds[target], target) != target) return false;
  }
  return ::close_range(3, ~0U, 0) == 0;
}

}  // namespace

void install_refusal_handler() {
  struct sigaction action{};
  action.sa_sigaction = on_refusal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGSYS, &action, nullptr);
}

void run_child(const ChildSetup& setup) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!take_descriptors(setup.fds)) ::_exit(kExitLimitsFailed);
  PyOS_AfterFork_Child();
  g_records = RecordWriter(setup.region->output(), setup.job->token);
  if (!apply_program_limits(setup.job->limits, setup.base_bytes)) ::_exit(kExitLimitsFailed);
  if (!setup.filter->install(::getpid())) ::_exit(kExitFilterFailed);
  const auto request = read_request({setup.region->input().data(), setup.job->request_bytes});
  if (request) run_program(*setup.job, *request, g_records);
  ::_exit(0);
}

}  // namespace azr
