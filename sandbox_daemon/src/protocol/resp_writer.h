// Builds RESP replies in the client's version: maps and nulls differ between 2 and 3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace azr {

class RespWriter {
 public:
  explicit RespWriter(int version) : version_(version) {}

  void simple(std::string_view text) { line('+', text); }
  void error(std::string_view text);  // one line: line ends become spaces
  void bulk(std::string_view text);
  void integer(int64_t value) { line(':', std::to_string(value)); }
  void null() { out_ += version_ >= 3 ? "_\r\n" : "$-1\r\n"; }
  void array(size_t items) { line('*', std::to_string(items)); }
  void map(size_t pairs);

  // A pair of a map; an absent value is null.
  void field(std::string_view name, std::optional<std::string_view> value);
  void field(std::string_view name, std::optional<int64_t> value);
  void text_or_null(std::string_view name, std::string_view value);  // empty: null

  std::string take() { return std::move(out_); }

 private:
  void line(char type, std::string_view text);

  int version_;
  std::string out_;
};

}  // namespace azr
