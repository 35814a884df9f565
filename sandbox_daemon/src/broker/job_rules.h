// What an operator decides about the limits of jobs.
#pragma once

#include <cstdint>

#include "shared/program_limits.h"

namespace azr {

struct JobRules {
  Limits defaults;  // these hold for what a job does not name
  // The most that it may name, CPU time included.
  uint64_t max_timeout_ms = kMaxTimeoutMs;
  uint64_t max_memory = kMaxMemory;
  uint64_t max_output = kMaxOutput;
};

}  // namespace azr
