// What became of one task: the broker's judgement from the wait status, its own kills and the
// records.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shared/channel.h"
#include "shared/verdict.h"

namespace azr {

// Why the broker killed a child.
enum class KillReason : uint8_t { kNone, kWall, kCpu, kOutput, kCancelled };

struct CaseResult {
  Verdict verdict = Verdict::kOk;
  std::optional<std::string> value;
  std::string type;
  std::string message;
  int line = 0;
  std::string reason{};
};

struct Outcome {
  Verdict verdict = Verdict::kOk;
  std::string type;    // of the exception that the program raised
  std::string reason;  // ours, where it raised none; `message` belongs to it then
  std::string message;
  int line = 0;                   // 0: none
  std::string syscall;            // denied: which
  int signal = 0;                 // crash: which
  std::optional<int> exit;        // a script's status
  bool loaded = false;            // the program's body had run
  std::vector<CaseResult> cases;  // those that finished
  std::string out, err;
  int64_t cpu_us = 0, wall_us = 0, max_rss_kib = 0;
  int64_t faults = 0;    // of pages
  std::string unserved;  // what its tier could not give it; but for its usage all else is void then
  bool returned = false;  // it was not begun: all else is void
};

struct Asked {
  JobKind kind = JobKind::kCall;
  size_t cases = 0;
  Limits limits;
};

struct Ending {
  KillReason killed = KillReason::kNone;
  DoneReport report;
  bool zygote_died = false;
  bool out_of_memory = false;  // the kernel killed a process of its control group
};

// `output` is the region's.
Outcome judge(const Asked& asked, const Ending& ending, std::span<const char> output,
              const Token& token);

}  // namespace azr
