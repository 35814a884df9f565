// What one program may use. Times are milliseconds, sizes bytes.
#pragma once

#include <cstdint>

#include "tier.h"

namespace azr {

struct Limits {
  uint64_t timeout_ms = 2000;      // wall clock, the whole job
  uint64_t cpu_ms = 0;             // CPU time; 0: as timeout_ms
  uint64_t memory = 512ull << 20;  // address space on top of the warm interpreter
  uint64_t output = 1ull << 20;    // stdout + stderr
  uint64_t values = 1ull << 20;    // the text of all results; clients set it with `output`

  uint64_t cpu() const { return cpu_ms != 0 ? cpu_ms : timeout_ms; }
};

inline constexpr uint64_t kMaxTimeoutMs = 3'600'000;
inline constexpr uint64_t kMinMemory = 1ull << 20;
inline constexpr uint64_t kMaxMemory = 1ull << 40;
inline constexpr uint64_t kMaxOutput = 32ull << 20;
inline constexpr uint64_t kStackBytes = 64ull << 20;
// The room of a program that is run in a rewound process, beside its stack.
inline constexpr uint64_t kRewindArenaBytes = 64ull << 20;
inline constexpr uint64_t kRewindHeapBytes = 64ull << 20;
inline constexpr uint64_t kRewindRoom = kRewindArenaBytes + kRewindHeapBytes + kStackBytes;

// Limits of the calling process, which is a program's child: never lifted again.
// `base_bytes` is the address space the process had before the program. False and errno on failure.
bool apply_program_limits(const Limits& limits, uint64_t base_bytes, Tier tier = Tier::kFork);

// A roomy stack for deep recursion, to be set before exec; nothing else can be raised later.
bool set_stack_limit();

}  // namespace azr
