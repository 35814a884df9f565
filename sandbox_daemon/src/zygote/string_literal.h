// One Python string or bytes literal, read as data: prefixes, quotes, escapes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace azr {

struct StringLiteral {
  bool is_bytes = false;
  std::string body;  // bytes: the bytes; str: UTF-8, lone surrogates passed through
};

// Whether `text` begins with a string literal (its prefix and opening quote).
bool string_starts(std::string_view text);

// Reads the literal at `text[at]` and moves `at` behind it. `text` is valid UTF-8.
// Throws BadLiteral.
StringLiteral read_string(std::string_view text, size_t& at);

}  // namespace azr
