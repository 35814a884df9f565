#include "resp/resp_writer.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace azr {
namespace {

constexpr size_t kLong = 64u << 10;  // bytes of a text that is cheaper to hand over than to copy

}  // namespace

void RespWriter::line(char type, std::string_view text) {
  out_ += type;
  out_.append(text).append("\r\n");
}

void RespWriter::error(std::string_view text) {
  std::string flat(text);
  std::ranges::replace_if(flat, [](char c) { return c == '\r' || c == '\n'; }, ' ');
  line('-', flat);
}

void RespWriter::number(char type, int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, std::end(digits), value).ptr;
  line(type, {digits, end});
}

void RespWriter::bulk(std::string_view text) {
  number('$', static_cast<int64_t>(text.size()));
  out_.append(text).append("\r\n");
}

void RespWriter::long_bulk(std::string text) {
  if (text.size() < kLong) return bulk(std::string_view(text));
  number('$', static_cast<int64_t>(text.size()));
  done_.push_back(std::move(out_));
  done_.push_back(std::move(text));
  out_ = "\r\n";
}

Reply RespWriter::take() {
  done_.push_back(std::move(out_));
  return std::move(done_);
}

void RespWriter::map(size_t pairs) {
  if (version_ >= 3) {
    number('%', static_cast<int64_t>(pairs));
  } else {
    array(2 * pairs);
  }
}

void RespWriter::field(std::string_view name, std::optional<std::string_view> value) {
  bulk(name);
  if (value) {
    bulk(*value);
  } else {
    null();
  }
}

void RespWriter::long_field(std::string_view name, std::string value) {
  bulk(name);
  long_bulk(std::move(value));
}

void RespWriter::field(std::string_view name, std::optional<int64_t> value) {
  bulk(name);
  if (value) {
    integer(*value);
  } else {
    null();
  }
}

void RespWriter::text_or_null(std::string_view name, std::string_view value) {
  field(name, value.empty() ? std::nullopt : std::optional(value));
}

}  // namespace azr
