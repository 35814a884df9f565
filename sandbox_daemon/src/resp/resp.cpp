#include "resp/resp.h"

#include <algorithm>
#include <utility>

#include "shared/options.h"

namespace azr {

RespParser::Step RespParser::fail(std::string message) {
  fault_ = std::move(message);
  return Step::kMore;
}

std::optional<Command> RespParser::next() {
  while (fault_.empty()) {
    const Step step = advance();
    if (step == Step::kCommand) return std::exchange(command_, {});
    if (step == Step::kMore) break;
  }
  // Consumed bytes go only now, so that a long request is not moved once per bulk string.
  buffer_.erase(0, at_);
  scanned_ -= std::min(scanned_, at_);
  at_ = 0;
  return std::nullopt;
}

RespParser::Step RespParser::advance() {
  if (missing_ == 0) return begin_command();
  return to_come_ ? read_bulk() : begin_bulk();
}

// Whether the command, as far as it is known, is within its bounds.
bool RespParser::within(size_t words, size_t bytes) {
  if (words > bounds_.words) fail("too many words for this command");
  if (bytes > bounds_.bytes) fail("request too large");
  return fault_.empty();
}

std::optional<std::string_view> RespParser::take_line() {
  const size_t end = std::min(buffer_.find('\n', std::max(scanned_, at_)), buffer_.size());
  if (end - at_ > kMaxInline) {  // whether or not its end came in the same piece
    fail("too big inline request");
    return std::nullopt;
  }
  if (end == buffer_.size()) {
    scanned_ = end;
    return std::nullopt;
  }
  std::string_view line(buffer_.data() + at_, end - at_);
  at_ = end + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

RespParser::Step RespParser::begin_command() {
  const auto line = take_line();
  if (!line) return Step::kMore;
  bounds_ = kMost;
  request_bytes_ = 0;
  kept_ = true;
  if (!line->starts_with('*')) return read_inline(*line);
  uint64_t count = 0;
  if (!parse_number(line->substr(1), count) || count > kMost.words) {
    return fail("invalid multibulk length");
  }
  words_ = missing_ = count;
  return Step::kProgress;
}

RespParser::Step RespParser::begin_bulk() {
  const auto line = take_line();
  if (!line) return Step::kMore;
  uint64_t size = 0;
  if (!line->starts_with('$')) return fail("expected '$'");
  if (!parse_number(line->substr(1), size) || size > kMaxBulk) return fail("invalid bulk length");
  const bool first = missing_ == words_;
  if (first && size > kMaxInline) return fail("request too large");
  request_bytes_ += size;
  if (!within(words_, request_bytes_)) return Step::kMore;
  kept_ = kept_ && events_.may_keep(size);
  if (!kept_ && !first) command_.resize(1);
  if (kept_ || first)
    command_.emplace_back().reserve(size);  // no page of it is there before it comes
  to_come_ = size;
  return Step::kProgress;
}

// A long word is taken as it comes, so that each byte is moved once.
RespParser::Step RespParser::read_bulk() {
  const size_t piece = std::min(*to_come_, buffer_.size() - at_);
  if (kept_ || missing_ == words_) command_.back().append(buffer_, at_, piece);
  at_ += piece;
  *to_come_ -= piece;
  if (*to_come_ > 0 || buffer_.size() - at_ < 2) return Step::kMore;
  if (buffer_.compare(at_, 2, "\r\n") != 0) return fail("bulk string has no end");
  at_ += 2;
  return end_bulk();
}

RespParser::Step RespParser::end_bulk() {
  to_come_.reset();
  if (missing_ == words_) bounds_ = events_.bounds(command_[0]);
  if (!within(words_, request_bytes_)) return Step::kMore;
  return --missing_ == 0 ? Step::kCommand : Step::kProgress;
}

RespParser::Step RespParser::read_inline(std::string_view line) {
  constexpr std::string_view kSpace = " \t";
  while (!line.empty()) {
    const size_t begin = line.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(kSpace, begin), line.size());
    command_.emplace_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
    if (command_.size() == 1) bounds_ = events_.bounds(command_[0]);
    if (!within(command_.size(), 0)) return Step::kMore;
  }
  return command_.empty() ? Step::kProgress : Step::kCommand;
}

}  // namespace azr
