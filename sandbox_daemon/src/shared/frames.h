// Result records in the region's output area. The child appends them, each stamped with a token
// that only C++ memory holds; the broker reads them once the child is dead and trusts no byte of
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "channel.h"
#include "verdict.h"

namespace azr {

enum class RecordKind : uint8_t {
  kLoad,  // the program's body ran, or why not
  kCase,  // one call of the entry function
  kExit,  // a script's end; number: exit status
  kDone,  // everything above is complete
};

// What one record may carry, whoever wrote it; values have the job's own limit.
inline constexpr size_t kMaxType = 256;
inline constexpr size_t kMaxMessage = 1024;

struct Record {
  RecordKind kind = RecordKind::kDone;
  Verdict verdict = Verdict::kOk;
  int32_t line = 0;  // 0: none
  int32_t number = 0;
  std::string_view type;  // of the exception that the program raised
  std::string_view message;
  std::string_view value;
  bool ours = false;  // `type` is no exception but a reason of ours, and `message` is ours too
};

class RecordWriter {
 public:
  RecordWriter() = default;
  RecordWriter(std::span<char> area, const Token& token);
  // False when it does not fit. Allocates nothing and may be called from a signal handler.
  bool append(const Record& record) noexcept;

 private:
  std::span<char> area_;
  Token token_{};
};

// The records of a finished child, as views into `area`; nothing when any byte of them is out of
// place or there are more than a request can ask for.
std::optional<std::vector<Record>> read_records(std::span<const char> area, const Token& token);

}  // namespace azr
