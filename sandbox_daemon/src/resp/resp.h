// Incremental parser of RESP requests: arrays of bulk strings, and inline commands.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace azr {

using Command = std::vector<std::string>;

// What one request may have.
struct RequestBounds {
  size_t words;
  size_t bytes;  // of all words together
};

class RespParser {
 public:
  static constexpr size_t kMaxInline = 64u << 10;
  static constexpr RequestBounds kMost{16'384, 40u << 20};
  static constexpr size_t kMaxBulk = 16u << 20;

  struct Events {
    // The bounds of a command, by its first word.
    std::function<RequestBounds(std::string_view)> bounds = [](std::string_view) { return kMost; };
    // Whether so many bytes more of a request may be kept before all of it is there.
    std::function<bool(size_t bytes)> may_keep = [](size_t) { return true; };
  };

  RespParser() = default;
  explicit RespParser(Events events) : events_(std::move(events)) {}

  void feed(std::string_view bytes) { buffer_ += bytes; }
  // The next whole command; nothing when more bytes are needed or after a fault. Empty commands
  // (an empty line or array) are skipped. Of one that must not be kept only the first word is left.
  std::optional<Command> next();
  bool was_kept() const { return kept_; }  // the last command
  // Bytes of a command that is not whole yet, as far as they are announced.
  size_t unfinished() const { return request_bytes_; }
  // What was wrong with the input, for good; empty while all is well.
  const std::string& fault() const { return fault_; }

 private:
  enum class Step { kMore, kProgress, kCommand };
  Step advance();
  Step begin_command();
  Step begin_bulk();
  Step read_bulk();
  Step end_bulk();
  Step read_inline(std::string_view line);
  std::optional<std::string_view> take_line();
  Step fail(std::string message);
  bool within(size_t words, size_t bytes);

  Events events_;
  std::string buffer_;
  size_t at_ = 0;       // what lies before is consumed
  size_t scanned_ = 0;  // no line end before this
  Command command_;
  RequestBounds bounds_ = kMost;
  size_t words_ = 0;               // announced
  size_t missing_ = 0;             // of them, still to come
  std::optional<size_t> to_come_;  // bytes of the one being read
  size_t request_bytes_ = 0;       // announced
  bool kept_ = true;
  std::string fault_;
};

}  // namespace azr
