#include "resp.h"

#include <algorithm>
#include <utility>

#include "options.h"

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

RespParser::Step RespParser::advance() { return missing_ == 0 ? begin_command() : read_bulk(); }

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
  if (!line->starts_with('*')) return read_inline(*line);
  uint64_t count = 0;
  if (!parse_number(line->substr(1), count) || count > kMaxArguments) {
    return fail("invalid multibulk length");
  }
  missing_ = count;
  request_bytes_ = 0;
  return Step::kProgress;
}

RespParser::Step RespParser::read_bulk() {
  if (!bulk_size_) {
    const auto line = take_line();
    if (!line) return Step::kMore;
    uint64_t size = 0;
    if (!line->starts_with('$')) return fail("expected '$'");
    if (!parse_number(line->substr(1), size) || size > kMaxBulk) {
      return fail("invalid bulk length");
    }
    request_bytes_ += size;
    if (request_bytes_ > kMaxRequest) return fail("request too large");
    bulk_size_ = size;
  }
  if (buffer_.size() - at_ < *bulk_size_ + 2) return Step::kMore;
  if (buffer_.compare(at_ + *bulk_size_, 2, "\r\n") != 0) return fail("bulk string has no end");
  command_.push_back(buffer_.substr(at_, *bulk_size_));
  at_ += *bulk_size_ + 2;
  bulk_size_.reset();
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
  }
  return command_.empty() ? Step::kProgress : Step::kCommand;
}

}  // namespace azr
