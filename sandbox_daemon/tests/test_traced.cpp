// What a tracer can undo of a process's registers, and what it can only notice.
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <functional>

#include "expect.h"
#include "rewind_rules.h"
#include "traced.h"

namespace azr {
namespace {

void stop() { ::syscall(kStopCall); }

// Stops before and after `change`, under the filter of runners, until it is killed.
[[noreturn]] void subject(const std::function<void()>& change) {
  SyscallFilter filter(runner_rules(), SyscallAction::kTrace);
  ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::raise(SIGSTOP);
  if (!filter.install(::getpid())) ::_exit(1);
  stop();
  change();
  stop();
  for (;;) ::pause();
}

// The stop after the change, and whether all registers then are as before it once they were
// written.
struct Undone {
  Stop stop;
  bool registers;
};

Undone undo(const std::function<void()>& change) {
  const pid_t pid = ::fork();
  if (pid == 0) subject(change);
  const Traced traced(pid);
  const auto next = [&traced] {
    EXPECT(traced.resume());
    std::optional<Stop> stop;
    while (!stop) stop = traced.wait(std::chrono::seconds(5));
    return *stop;
  };
  EXPECT(traced.adopt());
  EXPECT(next().can_be_undone());
  Registers before, after;
  EXPECT(traced.read(before));
  Traced::skip_call(before);
  EXPECT(traced.write(before));
  const Stop stop = next();
  EXPECT((traced.write(before) && traced.read(after)) || !stop.can_be_undone());
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, __WALL);
  return {stop, before == after};
}

void set_flag(uint64_t flag) {
  asm volatile("pushfq; orq %0, (%%rsp); popfq" : : "r"(flag) : "memory", "cc");
}

void registers() {
  const Undone nothing = undo([] {});
  EXPECT(nothing.stop.can_be_undone() && nothing.stop.number == kStopCall && nothing.registers);
  const Undone vectors = undo([] { asm volatile("pcmpeqd %%xmm7, %%xmm7" : : : "xmm7"); });
  EXPECT(vectors.stop.can_be_undone() && vectors.registers);
  const Undone rounding = undo([] {
    const uint32_t upward = 0x5f80;
    asm volatile("ldmxcsr %0" : : "m"(upward));
  });
  EXPECT(rounding.stop.can_be_undone() && rounding.registers);
  const Undone alignment = undo([] { set_flag(1 << 18); });
  EXPECT(alignment.registers || !alignment.stop.can_be_undone());
}

void what_cannot_be_undone_is_noticed() {
  const Undone identification = undo([] { set_flag(1 << 21); });
  EXPECT(!identification.stop.can_be_undone());
  const Undone vsyscall =
      undo([] { reinterpret_cast<long (*)(long*)>(0xffffffffff600400)(nullptr); });
  EXPECT(!vsyscall.stop.can_be_undone() || vsyscall.stop.kind == Stop::Kind::kSignal);
  const Undone in_32_bits = undo([] {
    asm volatile("pushq $0x23; pushq $0; lretq" : : : "memory");
  });
  EXPECT(in_32_bits.stop.kind == Stop::Kind::kSignal && in_32_bits.stop.number == SIGSEGV);
  EXPECT(!in_32_bits.stop.can_be_undone());
}

// As the kernel shows no more of it: somebody else has waited for it.
void what_has_vanished_is_gone() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  ::waitpid(pid, nullptr, 0);
  const auto stop = Traced(pid).wait(std::chrono::seconds(0));
  EXPECT(stop && stop->kind == Stop::Kind::kGone && !stop->can_be_undone());
}

// Whether a tracer sees what a process changed of what the kernel keeps for it.
bool shows(const std::function<void()>& change) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    change();
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  const Traced traced(pid);
  EXPECT(traced.adopt());
  const std::string before = traced.kernel_state();
  EXPECT(traced.resume());
  while (!traced.wait(std::chrono::seconds(5))) {
  }
  const bool differs = traced.kernel_state() != before;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, __WALL);
  return differs;
}

void block_a_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void move_robust_list() {
  static robust_list_head other{};
  ::syscall(SYS_set_robust_list, &other, sizeof other);
}

void forget_rseq() {
  constexpr int kUnregister = 1;
  constexpr uint32_t kSignature = 0x53053053;  // of the C library
  auto* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  ::syscall(SYS_rseq, area, 32, kUnregister, kSignature);
}

void dispatch_calls() {
  static char selector = 0;  // let all through
  constexpr int kSetDispatch = 59;
  ::prctl(kSetDispatch, 1, 0, 0, &selector);
}

void the_kernels_part_shows() {
  EXPECT(!shows([] {}));
  EXPECT(shows(block_a_signal));
  EXPECT(shows(move_robust_list));
  EXPECT(shows(forget_rseq) || __rseq_size == 0);
  EXPECT(shows(dispatch_calls));
}

// Every flag that a program can set is undone, or noticed.
void flags() {
  for (int bit = 0; bit < 22; ++bit) {
    if (bit == 8) continue;  // single steps: it stops at once, by a signal
    const Undone one = undo([bit] { set_flag(1 << bit); });
    if (!one.registers && one.stop.can_be_undone()) std::printf("flag %d\n", bit);
    EXPECT(one.registers || !one.stop.can_be_undone());
  }
}

}  // namespace
}  // namespace azr

int main() {
  azr::block_stop_signal();
  azr::registers();
  azr::what_cannot_be_undone_is_noticed();
  azr::what_has_vanished_is_gone();
  azr::the_kernels_part_shows();
  azr::flags();
  return test_result();
}
