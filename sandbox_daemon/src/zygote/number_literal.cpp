#include "number_literal.h"

#include <optional>
#include <string>

#include "values.h"

namespace py = pybind11;

namespace azr {
namespace {

py::object integer(const std::string& digits) {
  std::optional<AnyNumberOfDigits> lifted;
  if (digits.size() > 600) lifted.emplace();  // shorter ones never meet CPython's limit
  PyObject* value = PyLong_FromString(digits.c_str(), nullptr, 0);
  if (value == nullptr && PyErr_ExceptionMatches(PyExc_ValueError)) {
    PyErr_Clear();
    throw BadLiteral{"bad number"};
  }
  if (value == nullptr) throw PythonRaised();
  return py::reinterpret_steal<py::object>(value);
}

class NumberReader {
 public:
  NumberReader(std::string_view text, size_t& at) : text_(text), at_(at) {}
  py::object read();

 private:
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  std::string word();
  std::string digits();
  bool read_fraction(std::string& number);
  bool read_exponent(std::string& number);

  std::string_view text_;
  size_t& at_;
};

std::string NumberReader::word() {
  const size_t begin = at_;
  while (is_letter(peek()) || is_digit(peek())) ++at_;
  return std::string(text_.substr(begin, at_ - begin));
}

// Digits in which single underscores may stand between two of them; the underscores are dropped.
std::string NumberReader::digits() {
  std::string found;
  while (is_digit(peek()) || (peek() == '_' && !found.empty() && is_digit(peek(1)))) {
    if (peek() != '_') found += peek();
    ++at_;
  }
  return found;
}

bool NumberReader::read_fraction(std::string& number) {
  if (peek() != '.') return false;
  ++at_;
  number += "." + digits();
  return true;
}

bool NumberReader::read_exponent(std::string& number) {
  const size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
  if ((peek() | 32) != 'e' || !is_digit(peek(1 + sign))) return false;
  number += "e" + std::string(text_.substr(at_ + 1, sign));
  at_ += 1 + sign;
  number += digits();
  return true;
}

py::object NumberReader::read() {
  const char base = static_cast<char>(peek(1) | 32);
  if (peek() == '0' && (base == 'x' || base == 'o' || base == 'b')) return integer(word());
  std::string number = digits();
  const bool fraction = read_fraction(number);
  const bool exponent = read_exponent(number);
  const bool imaginary = (peek() | 32) == 'j';
  if (imaginary) ++at_;
  if (is_letter(peek()) || is_digit(peek())) throw BadLiteral{"bad number"};
  if (!fraction && !exponent && !imaginary) return integer(number);
  const double value = PyOS_string_to_double(number.c_str(), nullptr, nullptr);
  if (PyErr_Occurred()) throw PythonRaised();
  if (!imaginary) return py::float_(value);
  PyObject* made = PyComplex_FromDoubles(0.0, value);
  if (made == nullptr) throw PythonRaised();
  return py::reinterpret_steal<py::object>(made);
}

}  // namespace

py::object read_number(std::string_view text, size_t& at) { return NumberReader(text, at).read(); }

}  // namespace azr
