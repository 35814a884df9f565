// The answers of a filter, by a small interpreter of BPF.
#pragma once

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "expect.h"
#include "seccomp.h"

namespace azr {

// Runs `code` over `data` as the kernel would.
inline uint32_t evaluate(const std::vector<sock_filter>& code, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < code.size(); ++pc) {
    const sock_filter& op = code[pc];
    const auto branch = [&](bool taken) { pc += taken ? op.jt : op.jf; };
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + op.k, sizeof a);
        break;
      case BPF_JMP | BPF_JA:
        pc += op.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        branch(a == op.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        branch(a >= op.k);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        branch((a & op.k) != 0);
        break;
      case BPF_RET | BPF_K:
        return op.k;
      default:
        EXPECT(!"unknown instruction");
        return 0;
    }
  }
  EXPECT(!"ran off the end");
  return 0;
}

inline seccomp_data call(long number, std::initializer_list<uint64_t> arguments = {}) {
  seccomp_data data{};
#if defined(__x86_64__)
  data.arch = AUDIT_ARCH_X86_64;
#else
  data.arch = AUDIT_ARCH_AARCH64;
#endif
  data.nr = static_cast<int>(number);
  size_t i = 0;
  for (const uint64_t argument : arguments) data.args[i++] = argument;
  return data;
}

inline constexpr uint32_t kErofs = SECCOMP_RET_ERRNO | EROFS, kEperm = SECCOMP_RET_ERRNO | EPERM;
inline constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

// Of a child that installs it, of a zygote and its children, of a jail.
inline constexpr FilterUse kOne{.writes_by_mount = true, .inherited = false};
inline constexpr FilterUse kInherited{.writes_by_mount = true, .inherited = true};
inline constexpr FilterUse kJail{.writes_by_mount = true, .inherited = false, .jail = true};

}  // namespace azr
