// Builds RESP replies in the client's version: maps and nulls differ between 2 and 3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace azr {

// In pieces, so that a long text in it need not be copied.
using Reply = std::vector<std::string>;

class RespWriter {
 public:
  // `bytes`: about how long the reply will be, without long texts.
  explicit RespWriter(int version, size_t bytes = 0) : version_(version) { out_.reserve(bytes); }

  void simple(std::string_view text) { line('+', text); }
  void error(std::string_view text);  // one line: line ends become spaces
  void bulk(std::string_view text);
  void long_bulk(std::string text);  // which is taken over rather than copied
  void integer(int64_t value) { number(':', value); }
  void null() { out_ += version_ >= 3 ? "_\r\n" : "$-1\r\n"; }
  void array(size_t items) { number('*', static_cast<int64_t>(items)); }
  void map(size_t pairs);

  // A pair of a map; an absent value is null.
  void field(std::string_view name, std::optional<std::string_view> value);
  void field(std::string_view name, std::optional<int64_t> value);
  void long_field(std::string_view name, std::string value);
  void text_or_null(std::string_view name, std::string_view value);  // empty: null

  Reply take();

 private:
  void line(char type, std::string_view text);
  void number(char type, int64_t value);

  int version_;
  Reply done_;       // before `out_`
  std::string out_;  // what is being written
};

}  // namespace azr
