// Records of a program and what the broker makes of them.
#pragma once

#include <string_view>
#include <vector>

#include "broker/outcome.h"
#include "expect.h"
#include "frames.h"

namespace azr {

inline constexpr Token kToken = {1, 2, 3};
inline constexpr Record kLoaded{RecordKind::kLoad, Verdict::kOk, 0, 0, {}, {}, {}};
inline constexpr Record kDone{RecordKind::kDone, Verdict::kOk, 0, 0, {}, {}, {}};

struct Area {
  std::vector<char> bytes = std::vector<char>(65536);
  RecordWriter writer{bytes, kToken};
  Asked asked{JobKind::kCall, 2, Limits{}};

  Outcome judged(int wait_status = 0, KillReason killed = KillReason::kNone) {
    return judge(
        asked,
        {killed, {.wait_status = wait_status, .cpu_us = 5, .max_rss_kib = 6, .faults = 7}, false},
        bytes, kToken);
  }
};

inline Record value(std::string_view text) {
  return {RecordKind::kCase, Verdict::kOk, 0, 0, {}, {}, text};
}

}  // namespace azr
