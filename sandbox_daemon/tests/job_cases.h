// What tests of jobs and of their scheduler have in common.
#pragma once

#include <string>
#include <vector>

#include "broker/job.h"
#include "broker/outcome.h"

namespace azr {

inline const std::vector<PoolConfig> kPools = {{"default", 2, ""}, {"sci", 4, "numpy"}};

inline Outcome with_value(const std::string& text) {
  Outcome outcome;
  outcome.loaded = true;
  outcome.cases = {{Verdict::kOk, text, "", "", 0}};
  return outcome;
}

}  // namespace azr
