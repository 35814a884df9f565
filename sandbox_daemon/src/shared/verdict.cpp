#include "verdict.h"

namespace azr {

std::string_view verdict_name(Verdict verdict) {
  static constexpr std::string_view kNames[kVerdictCount] = {
      "ok", "error", "timeout", "memory", "output", "denied", "crash", "nondeterministic"};
  return kNames[static_cast<int>(verdict)];
}

}  // namespace azr
