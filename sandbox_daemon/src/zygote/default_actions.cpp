#include "default_actions.h"

#include <cstdint>

// The C library's own, under the name that it keeps for who replaces it.
extern "C" int __sigaction(int, const struct sigaction*, struct sigaction*) noexcept;

namespace azr {
namespace {

constexpr int kLast = 64;  // Linux has no higher signal

SignalHandler g_handler = nullptr;

// Whether the default action ends a process, and can be replaced. SIGSYS has a handler of its own;
// 32 and 33 are the C library's.
bool ends_by_default(int signal) {
  constexpr uint64_t kOthers = 1ull << SIGKILL | 1ull << SIGSTOP | 1ull << SIGTSTP |
                               1ull << SIGTTIN | 1ull << SIGTTOU | 1ull << SIGCHLD |
                               1ull << SIGCONT | 1ull << SIGURG | 1ull << SIGWINCH |
                               1ull << SIGSYS | 1ull << 32 | 1ull << 33;
  return signal == kLast || (signal > 0 && signal < kLast && (kOthers >> signal & 1) == 0);
}

struct sigaction replacement() {
  struct sigaction action{};
  action.sa_sigaction = g_handler;
  action.sa_flags = SA_SIGINFO;
  return action;
}

// As sigaction(2).
int act(int signal, const struct sigaction* next, struct sigaction* before) {
  if (g_handler == nullptr || !ends_by_default(signal)) return ::__sigaction(signal, next, before);
  const struct sigaction ours = replacement();
  const bool to_default = next != nullptr && next->sa_handler == SIG_DFL;
  const int result = ::__sigaction(signal, to_default ? &ours : next, before);
  if (result == 0 && before != nullptr && before->sa_sigaction == g_handler) *before = {};
  return result;
}

}  // namespace

void replace_default_actions(SignalHandler handler) {
  g_handler = handler;
  for (int signal = 1; signal <= kLast; ++signal) {
    struct sigaction now{};
    const bool known = act(signal, nullptr, &now) == 0;
    if (known && now.sa_handler == SIG_DFL) act(signal, &now, nullptr);
  }
}

}  // namespace azr

// The address sanitizer has its own.
#ifndef __SANITIZE_ADDRESS__
extern "C" [[gnu::visibility("default")]] int sigaction(int signal, const struct sigaction* next,
                                                        struct sigaction* before) noexcept {
  return azr::act(signal, next, before);
}
#endif
