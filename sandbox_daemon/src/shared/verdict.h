// The stable words a program's end is described with.
#pragma once

#include <cstdint>
#include <string_view>

namespace azr {

enum class Verdict : uint8_t {
  kOk,
  kError,
  kTimeout,
  kMemory,
  kOutput,
  kDenied,
  kCrash,
  kNondeterministic,
};
inline constexpr int kVerdictCount = 8;

std::string_view verdict_name(Verdict verdict);

}  // namespace azr
