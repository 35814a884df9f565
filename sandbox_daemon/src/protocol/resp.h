// Incremental parser of RESP requests: arrays of bulk strings, and inline commands.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace azr {

using Command = std::vector<std::string>;

class RespParser {
 public:
  static constexpr size_t kMaxArguments = 16'384;
  static constexpr size_t kMaxBulk = 16u << 20;
  static constexpr size_t kMaxRequest = 40u << 20;
  static constexpr size_t kMaxInline = 64u << 10;

  void feed(std::string_view bytes) { buffer_ += bytes; }
  // The next whole command; nothing when more bytes are needed or after a fault. Empty commands
  // (an empty line or array) are skipped.
  std::optional<Command> next();
  // What was wrong with the input, for good; empty while all is well.
  const std::string& fault() const { return fault_; }

 private:
  enum class Step { kMore, kProgress, kCommand };
  Step advance();
  Step begin_command();
  Step read_bulk();
  Step read_inline(std::string_view line);
  std::optional<std::string_view> take_line();
  Step fail(std::string message);

  std::string buffer_;
  size_t at_ = 0;       // what lies before is consumed
  size_t scanned_ = 0;  // no line end before this
  Command command_;
  size_t missing_ = 0;               // bulk strings still to come
  std::optional<size_t> bulk_size_;  // of the one being read
  size_t request_bytes_ = 0;
  std::string fault_;
};

}  // namespace azr
