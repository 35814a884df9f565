#include "resp_writer.h"

#include <algorithm>

namespace azr {

void RespWriter::line(char type, std::string_view text) {
  out_ += type;
  out_ += text;
  out_ += "\r\n";
}

void RespWriter::error(std::string_view text) {
  std::string flat(text);
  std::ranges::replace_if(flat, [](char c) { return c == '\r' || c == '\n'; }, ' ');
  line('-', flat);
}

void RespWriter::bulk(std::string_view text) {
  line('$', std::to_string(text.size()));
  out_ += text;
  out_ += "\r\n";
}

void RespWriter::map(size_t pairs) {
  if (version_ >= 3) {
    line('%', std::to_string(pairs));
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
