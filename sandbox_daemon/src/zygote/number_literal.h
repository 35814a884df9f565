// One Python number literal without a sign: int in any base, float, imaginary.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string_view>

namespace azr {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_'; }

// Reads the number at `text[at]`, which begins with a digit or a dot, and moves `at` behind it.
// Throws BadLiteral or PythonRaised.
pybind11::object read_number(std::string_view text, size_t& at);

}  // namespace azr
