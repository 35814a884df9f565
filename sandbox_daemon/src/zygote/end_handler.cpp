#include "end_handler.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "answers.h"
#include "channel.h"
#include "default_actions.h"
#include "end_note.h"
#include "error.h"
#include "jail.h"
#include "machine_facts.h"

// The linker's names for the ends of the handler's section.
extern "C" const char __start_azr_end_handler[], __stop_azr_end_handler[];

namespace azr {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kCodeAt = 64;   // behind the page's constants
constexpr long kSealCall = 462;  // mseal; the build machine's headers may be older

// What the handler finds at the beginning of its page. Volatile, so that no two members are written
// at once, from a constant that would not be in the page.
struct Constants {
  volatile EndNote* note;
  const Answers* answers;
  bool jail;
};
static_assert(sizeof(Constants) <= kCodeAt);

Answers g_answers;

// Those of a fault that the processor met: they end every process.
constexpr uint32_t kFaults =
    1u << SIGSEGV | 1u << SIGBUS | 1u << SIGILL | 1u << SIGFPE | 1u << SIGTRAP;

// In a jail nothing else is refused of these but to kill itself.
AZR_STANDALONE bool kills_itself(const Constants& constants, const siginfo_t* info) {
  return constants.jail && (info->si_syscall == SYS_kill || info->si_syscall == SYS_tkill ||
                            info->si_syscall == SYS_tgkill);
}

AZR_STANDALONE void end_by_default(int signal) {
  const uint64_t by_default[4] = {};
  raw_call(SYS_rt_sigaction, signal, reinterpret_cast<long>(by_default), 0, 8);
  raw_call(SYS_tgkill, raw_call(SYS_getpid, kTruth), raw_call(SYS_gettid, kTruth), signal);
}

[[gnu::section("azr_end_handler"), gnu::used, gnu::noinline, gnu::no_stack_protector,
  gnu::no_sanitize("undefined")]]
void on_end(int signal, siginfo_t* info, void* context) {
  const auto& constants = *reinterpret_cast<const Constants*>(here() & ~(kPageBytes - 1));
  const bool refused = signal == SIGSYS && info->si_code == kRefusedByFilter;
  if (refused && answer(*constants.answers, info->si_syscall, context)) return;
  const bool own = !constants.jail || raw_call(SYS_getpid, kTruth) == 1;
  const bool fault = info->si_code > 0 && signal < 32 && (kFaults >> signal & 1) != 0;
  if (fault || (!own && signal != SIGSYS)) return end_by_default(signal);
  if (own && refused && kills_itself(constants, info)) {
    constants.note->signal = SIGKILL;
  } else if (own) {
    constants.note->signal = signal;
    constants.note->code = info->si_code;
    if (refused) constants.note->syscall = info->si_syscall;
  }
  for (;;) raw_call(SYS_exit_group, kExitBySignal);
}

// False where the kernel has no seals.
bool seal(void* area, size_t bytes) { return ::syscall(kSealCall, area, bytes, 0) == 0; }

void* make_page(const Constants& constants) {
  const auto bytes = static_cast<size_t>(__stop_azr_end_handler - __start_azr_end_handler);
  void* page =
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || bytes > kPageBytes - kCodeAt) {
    throw StartError("seccomp: no page for its handler: " + errno_text());
  }
  std::memcpy(page, &constants, sizeof constants);
  std::memcpy(static_cast<char*>(page) + kCodeAt, __start_azr_end_handler, bytes);
  __builtin___clear_cache(static_cast<char*>(page), static_cast<char*>(page) + kPageBytes);
  if (::mprotect(page, kPageBytes, PROT_READ | PROT_EXEC) != 0) {
    throw StartError("seccomp: cannot protect the page of its handler: " + errno_text());
  }
  return page;
}

// The handler is the first function of its section, and alone there.
SignalHandler handler_in(void* page) {
  return reinterpret_cast<SignalHandler>(reinterpret_cast<uintptr_t>(page) + kCodeAt);
}

void handle_refusals(SignalHandler handler) {
  struct sigaction action{};
  action.sa_sigaction = handler;
  // On the stack of a program's own handler of faults, if it has one: where the one has no room for
  // a frame, the other has none either, and that ends the process.
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  ::sigaction(SIGSYS, &action, nullptr);
}

// How a child under the filter ends that makes a refused call.
int status_after_refusal(SyscallFilter& filter, bool jail) {
  const pid_t pid = jail ? fork_jailed() : ::fork();
  if (pid == 0) {
    if (filter.install(::getpid())) ::syscall(SYS_ptrace, 0, 0, 0, 0);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

}  // namespace

Answers& answers() { return g_answers; }

bool install_end_handler(const Region& region, bool jail) {
  keep_machine_facts();
  auto* note = reinterpret_cast<EndNote*>(end_note_area(region.output()).data());
  void* page = make_page({note, &g_answers, jail});
  handle_refusals(handler_in(page));
  if (jail) replace_default_actions(handler_in(page));
  return seal(page, kPageBytes) && seal(region.input().data(), kInputBytes + kOutputBytes);
}

void prove_end_handler(SyscallFilter& filter, const Region& region, bool jail) {
  const int status = status_after_refusal(filter, jail);
  const EndNote note = read_end_note(region.output());
  if (!WIFEXITED(status) || WEXITSTATUS(status) != kExitBySignal || note.signal != SIGSYS ||
      note.code != kRefusedByFilter || note.syscall != SYS_ptrace) {
    throw StartError("seccomp: its handler does not note a refused call: report this as a bug");
  }
  std::ranges::fill(end_note_area(region.output()), '\0');
}

}  // namespace azr
