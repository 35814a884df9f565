#include "child.h"

#include <Python.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "end_note.h"
#include "frames.h"
#include "jail.h"
#include "jail_needs.h"
#include "machine_facts.h"
#include "other_ids.h"
#include "program.h"
#include "program_limits.h"
#include "request.h"

namespace azr {
namespace {

// With a note, by which the broker tells this end from that of a program with the same exit status.
[[noreturn]] void fail(const Region& region, int status) {
  const EndNote note{.failed = status};
  std::memcpy(end_note_area(region.output()).data(), &note, sizeof note);
  ::_exit(status);
}

// What the kernel would tell all of them alike. False when it refuses.
bool differ_in_facts(const ChildSetup& setup) {
  const uint32_t replica = setup.job->replica;
  if (replica == 0) return true;
  tell_other_facts(replica);
  return setup.jail == nullptr || tell_other_ids(replica);
}

}  // namespace

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
  const Region& region = *setup.region;
  if (!take_descriptors(setup.stdin_fd)) fail(region, kExitLimitsFailed);
  unblock_signals();
  PyOS_AfterFork_Child();
  const Jail* jail = setup.jail;
  const bool jailed = jail == nullptr || enter_jail(jail->readable, jail->landlock);
  if (!jailed || !differ_in_facts(setup)) fail(region, kExitLimitsFailed);
  set_thread_id(static_cast<unsigned long>(::gettid()));
  const Tier tier = jail != nullptr ? Tier::kJail : Tier::kFork;
  if (!apply_program_limits(setup.job->limits, setup.base_bytes, tier)) {
    fail(region, kExitLimitsFailed);
  }
  const pid_t owner = true_process_id();
  if (setup.filter != nullptr && !setup.filter->install(owner)) fail(region, kExitFilterFailed);
  RecordWriter records(region.output(), setup.job->token);
  const auto request = read_request({region.input().data(), setup.job->request_bytes});
  if (setup.job->falls_back) refuse_what_a_jail_gives();
  if (request) run_program(*setup.job, *request, records, jail != nullptr ? owner : 0);
  ::_exit(0);
}

}  // namespace azr
