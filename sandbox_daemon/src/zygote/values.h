// Plain values and their canonical text: a Python literal, the same for equal values spelled alike.
// None, bool, int, float, complex, str, bytes, list, tuple, dict, set and frozenset, by exact type.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

#include "verdict.h"

namespace azr {

inline constexpr int kMaxDepth =
    64;  // containers within containers; a scalar has depth 0, [] has 1

// A value that has no text: verdict kError with reason NotPlainValue, or kOutput for too large or
// deep.
struct Unencodable {
  Verdict verdict;
  std::string message;
};

// Text that spells no plain value.
struct BadLiteral {
  std::string message;
};

// A Python exception is set (MemoryError, say); it stays set for the caller to read.
struct PythonRaised {};

// Runs no code of the program and looks nothing up by name. Appends to `out` at most `cap` bytes.
// Throws Unencodable or PythonRaised.
void encode_value(PyObject* value, size_t cap, std::string& out);

// The arguments that `text` spells, as a tuple: what stands inside a call's parentheses.
// Throws BadLiteral or PythonRaised.
pybind11::tuple decode_arguments(std::string_view text);

// Lifts CPython's limit on the digits of an int for a scope. It keeps the functions of `sys`
// themselves, from before any program ran.
class AnyNumberOfDigits {
 public:
  static void prepare();
  AnyNumberOfDigits();
  ~AnyNumberOfDigits();
  AnyNumberOfDigits(const AnyNumberOfDigits&) = delete;
  AnyNumberOfDigits& operator=(const AnyNumberOfDigits&) = delete;

 private:
  PyObject* limit_;
};

}  // namespace azr
