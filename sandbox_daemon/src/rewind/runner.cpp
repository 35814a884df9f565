#include "runner.h"

#include <Python.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>

#include "child.h"
#include "frames.h"
#include "program.h"
#include "random.h"
#include "request.h"
#include "rewind_rules.h"

namespace azr {
namespace {

constexpr int kFailed = 1;  // exit status

TaskHeader g_job;
const RunnerSetup* g_setup = nullptr;
ucontext_t g_on_own_stack;
UniqueFd g_pagemap;

bool holds(const WritableMapping& mapping, const void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  return mapping.range.begin <= at && at < mapping.range.end;
}

// The file belongs to the process's user only while the process may be inspected.
void open_pagemap(int proc) {
  ::prctl(PR_SET_DUMPABLE, 1);
  g_pagemap.reset(::openat(proc, "self/pagemap", O_RDONLY | O_CLOEXEC));
  ::prctl(PR_SET_DUMPABLE, 0);
  if (!g_pagemap) ::_exit(kFailed);
}

// Everything but the mapping that `here` lies in, or that one alone.
void share_mappings(const void* here, bool only_here) {
  const Pagemap own(UniqueFd(::dup(g_pagemap.get())));
  for (const auto& mapping : g_setup->mappings) {
    if (holds(mapping, here) != only_here) continue;
    if (!share(mapping, g_setup->memory_file, own)) ::_exit(kFailed);
  }
}

void track_and_tell() {
  const UniqueFd tracker = make_write_tracker();
  for (const auto& mapping : g_setup->mappings) {
    if (!tracker || !track_writes(tracker, mapping.range)) ::_exit(kFailed);
  }
  const UniqueFd self(::openat(g_setup->proc, "self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const int handles[] = {g_pagemap.get(), tracker.get(), self.get()};
  if (!send_message(g_setup->supervisor, MessageType::kReady, {}, handles)) ::_exit(kFailed);
}

// In the order in which nothing that comes later is needed.
void lock_in() {
  static constexpr Limits kNone{.timeout_ms = kMaxTimeoutMs};
  if (!take_descriptors(-1) || !apply_program_limits(kNone, kMaxMemory, Tier::kRewind) ||
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
    ::_exit(kFailed);
  }
  ::raise(SIGSTOP);  // until the supervisor says what it wants to see
  if (!g_setup->filter->install(::getpid())) ::_exit(kFailed);
}

// In assembly: the place is known by its address, and nothing is done before or after it.
void stop() {
  long result = kStopCall;
  asm volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
}

[[noreturn]] void serve(const Region& region) {
  for (;;) {
    stop();
    RecordWriter records(region.output(), g_job.token);
    const auto request = read_request({region.input().data(), g_job.request_bytes});
    if (request) run_program(g_job, *request, records);
  }
}

void on_own_stack() {
  share_mappings(g_setup, /*only_here=*/true);  // the stack that was left
  track_and_tell();
  if (g_setup->inspectable) ::prctl(PR_SET_DUMPABLE, 1);
  unblock_signals();
  PyOS_AfterFork_Child();
  PyThreadState_Get()->native_thread_id = 0;  // nothing in memory tells how many were killed
  set_thread_id(random_value<uint32_t>() >> 10);
  const Region& region = *g_setup->region;
  lock_in();
  serve(region);
}

}  // namespace

TaskHeader& runner_job() { return g_job; }

void become_runner(const RunnerSetup& setup) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  g_setup = &setup;  // lives on the stack
  open_pagemap(setup.proc);
  ::getcontext(&g_on_own_stack);
  g_on_own_stack.uc_stack.ss_sp = setup.stack.data();
  g_on_own_stack.uc_stack.ss_size = setup.stack.size();
  ::makecontext(&g_on_own_stack, on_own_stack, 0);
  share_mappings(&setup, /*only_here=*/false);
  ::setcontext(&g_on_own_stack);
  ::_exit(kFailed);
}

}  // namespace azr
