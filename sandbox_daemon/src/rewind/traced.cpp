#include "traced.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace azr {
namespace {

// Spelled out because the build machine's headers may be older (linux/ptrace.h of 5.13 and 6.4):
// PTRACE_GET_RSEQ_CONFIGURATION and PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, and the sizes of their
// answers.
constexpr int kGetRseq = 0x420f, kGetDispatch = 0x4211;
constexpr uintptr_t kRseqBytes = 24, kDispatchBytes = 32;

constexpr int kSeccompStop = SIGTRAP | (PTRACE_EVENT_SECCOMP << 8);

Usage usage_of(const rusage& usage) {
  const auto us = [](const timeval& t) { return int64_t{t.tv_sec} * 1'000'000 + t.tv_usec; };
  return {us(usage.ru_utime) + us(usage.ru_stime), usage.ru_minflt + usage.ru_majflt};
}

sigset_t stop_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return set;
}

}  // namespace

void block_stop_signal() {
  const sigset_t set = stop_signal();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

bool Stop::can_be_undone() const {
  constexpr uint64_t kIdentification = 1 << 21;
  return kind != Kind::kGone && in_64_bits && static_cast<int64_t>(at) >= 0 &&
         (flags & kIdentification) == 0;
}

bool Registers::operator==(const Registers& other) const {
  return std::memcmp(&general, &other.general, sizeof general) == 0 &&
         extended_bytes == other.extended_bytes &&
         std::memcmp(extended.data(), other.extended.data(), extended_bytes) == 0;
}

bool Traced::adopt() const {
  int status = 0;
  return ::waitpid(pid_, &status, __WALL) == pid_ && WIFSTOPPED(status) &&
         WSTOPSIG(status) == SIGSTOP &&
         ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL) == 0;
}

bool Traced::resume() const { return ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) == 0; }

std::optional<Stop> Traced::wait(std::chrono::nanoseconds patience) const {
  const sigset_t set = stop_signal();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(patience);
  const timespec time{seconds.count(), (patience - seconds).count()};
  ::sigtimedwait(&set, nullptr, &time);
  int status = 0;
  rusage usage{};
  const pid_t found = ::wait4(pid_, &status, WNOHANG | __WALL, &usage);
  if (found < 0 && errno == ECHILD) {
    return Stop{.kind = Stop::Kind::kGone, .number = SIGKILL, .usage = {}};
  }
  if (found != pid_) return std::nullopt;
  Stop stop{.kind = Stop::Kind::kGone, .number = status, .usage = usage_of(usage)};
  if (WIFSTOPPED(status) && !look_at(stop)) return std::nullopt;
  return stop;
}

// What a process that stopped did it for. The kernel gives fewer registers of one in 32-bit mode by
// PTRACE_GETREGSET, but all of them by PTRACE_GETREGS.
bool Traced::look_at(Stop& stop) const {
  user_regs_struct general{};
  iovec part{&general, sizeof general};
  if (::ptrace(PTRACE_GETREGSET, pid_, NT_PRSTATUS, &part) != 0) return false;
  stop.in_64_bits = part.iov_len == sizeof general;
  if (!stop.in_64_bits && ::ptrace(PTRACE_GETREGS, pid_, nullptr, &general) != 0) return false;
  const bool call = stop.number >> 8 == kSeccompStop;
  stop.kind = call ? Stop::Kind::kCall : Stop::Kind::kSignal;
  stop.number = call ? static_cast<int>(general.orig_rax) : WSTOPSIG(stop.number);
  stop.at = general.rip;
  stop.flags = general.eflags;
  return true;
}

bool Traced::read(Registers& registers) const {
  iovec general{&registers.general, sizeof registers.general};
  iovec extended{registers.extended.data(), registers.extended.size()};
  if (::ptrace(PTRACE_GETREGSET, pid_, NT_PRSTATUS, &general) != 0 ||
      ::ptrace(PTRACE_GETREGSET, pid_, NT_X86_XSTATE, &extended) != 0) {
    return false;
  }
  registers.extended_bytes = extended.iov_len;
  return true;
}

bool Traced::write(const Registers& registers) const {
  iovec general{const_cast<user_regs_struct*>(&registers.general), sizeof registers.general};
  iovec extended{const_cast<char*>(registers.extended.data()), registers.extended_bytes};
  return ::ptrace(PTRACE_SETREGSET, pid_, NT_PRSTATUS, &general) == 0 &&
         ::ptrace(PTRACE_SETREGSET, pid_, NT_X86_XSTATE, &extended) == 0;
}

std::string Traced::kernel_state() const {
  std::string state;
  const auto ask = [&](int request, uintptr_t bytes) {
    std::array<char, 64> answer{};
    const long result =
        ::ptrace(static_cast<__ptrace_request>(request), pid_, bytes, answer.data());
    state += std::to_string(result) + std::string(answer.data(), answer.size());
  };
  ask(PTRACE_GETSIGMASK, sizeof(uint64_t));
  ask(kGetRseq, kRseqBytes);
  ask(kGetDispatch, kDispatchBytes);
  const void* robust = nullptr;
  size_t robust_bytes = 0;
  const long known = ::syscall(SYS_get_robust_list, pid_, &robust, &robust_bytes);
  return state + std::to_string(known) + " " + std::to_string(reinterpret_cast<uintptr_t>(robust)) +
         " " + std::to_string(robust_bytes);
}

void Traced::skip_call(Registers& registers) {
  registers.general.orig_rax = static_cast<unsigned long long>(-1);
  registers.general.rax = 0;
}

}  // namespace azr
