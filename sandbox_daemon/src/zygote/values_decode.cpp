// Text to values: a strict recursive-descent parser of Python's literal grammar. Nothing is
// evaluated.
#include <algorithm>
#include <limits>

#include "number_literal.h"
#include "string_literal.h"
#include "text_cursor.h"
#include "values.h"

namespace py = pybind11;

namespace azr {
namespace {

constexpr int kMaxBrackets = 200;  // within each other: calls, and those that change nothing, too

// A value and how deep it nests.
struct Parsed {
  py::object object;
  int depth = 0;
};

py::object owned(PyObject* object) {
  if (object == nullptr) throw PythonRaised();
  return py::reinterpret_steal<py::object>(object);
}

// For calls that fail on what the text says: `expected` becomes a BadLiteral, the rest stays
// Python's.
py::object owned_or(PyObject* object, PyObject* expected, const char* message) {
  if (object == nullptr && PyErr_ExceptionMatches(expected)) {
    PyErr_Clear();
    throw BadLiteral{message};
  }
  return owned(object);
}

class Parser : private TextCursor {
 public:
  explicit Parser(std::string_view text) : TextCursor(text) {}
  py::tuple arguments();

 private:
  Parsed nested(py::object object, int inner) const;

  Parsed value();
  Parsed primary();
  Parsed name();
  Parsed call(const std::string& word);
  Parsed set_call(bool frozen);
  py::object float_call();
  py::object complex_call();
  double part();
  Parsed brackets();
  Parsed parenthesised();
  Parsed braced();
  Parsed dict_rest(Parsed key);
  Parsed items(char close);
  py::object strings();
  py::object sum(const py::object& left);
  void open_bracket() {
    if (++open_brackets_ > kMaxBrackets) refuse("too many brackets");
  }

  int open_brackets_ = 0;
};

Parsed Parser::nested(py::object object, int inner) const {
  if (inner >= kMaxDepth) refuse("nested deeper than " + std::to_string(kMaxDepth));
  return {std::move(object), inner + 1};
}

py::tuple Parser::arguments() {
  py::list values;
  for (skip_space(); !at_end(); skip_space()) {
    values.append(value().object);
    skip_space();
    if (!at_end()) expect(',');
  }
  return py::tuple(values);
}

// A value with an optional sign, and the imaginary part of `1+2j`.
Parsed Parser::value() {
  skip_space();
  const char sign = peek();
  const bool is_signed = sign == '+' || sign == '-';
  if (is_signed) {
    ++at_;
    skip_space();
    if (peek() == 'c') refuse("sign before complex");
  }
  Parsed result = primary();
  PyObject* object = result.object.ptr();
  const bool number =
      PyLong_CheckExact(object) || PyFloat_CheckExact(object) || PyComplex_CheckExact(object);
  if (is_signed && !number) refuse("sign before something else than a number");
  if (sign == '-') result.object = owned(PyNumber_Negative(object));
  skip_space();
  if (peek() == '+' || peek() == '-') result.object = sum(result.object);
  return result;
}

py::object Parser::sum(const py::object& left) {
  if (!PyLong_CheckExact(left.ptr()) && !PyFloat_CheckExact(left.ptr())) refuse("bad sum");
  const char sign = text_[at_++];
  skip_space();
  const bool fraction = peek() == '.' && is_digit(peek(1));
  if (!is_digit(peek()) && !fraction) refuse("bad sum");
  const py::object right = read_number(text_, at_);
  if (!PyComplex_CheckExact(right.ptr())) refuse("bad sum");
  return owned_or(sign == '+' ? PyNumber_Add(left.ptr(), right.ptr())
                              : PyNumber_Subtract(left.ptr(), right.ptr()),
                  PyExc_OverflowError, "the part of a complex number is too large");
}

Parsed Parser::primary() {
  const char c = peek();
  if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return {read_number(text_, at_)};
  if (string_starts(rest())) return {strings()};
  if (c == '[' || c == '(' || c == '{') return brackets();
  return name();
}

Parsed Parser::name() {
  const std::string word = take_while([](char c) { return is_letter(c) || is_digit(c); });
  if (word == "None") return {py::none()};
  if (word == "True" || word == "False") return {py::bool_(word == "True")};
  if (word == "nan") return {py::float_(std::numeric_limits<double>::quiet_NaN())};
  if (word == "inf") return {py::float_(std::numeric_limits<double>::infinity())};
  if (word == "set" || word == "frozenset" || word == "complex" || word == "float") {
    return call(word);
  }
  refuse(word.empty() ? "expected a value" : "not a plain value: the name " + word);
}

// Calls nest like brackets, and each takes as much of the stack.
Parsed Parser::call(const std::string& word) {
  open_bracket();
  Parsed made = word == "complex" ? Parsed{complex_call()}
                : word == "float" ? Parsed{float_call()}
                                  : set_call(word == "frozenset");
  --open_brackets_;
  return made;
}

// `set()`, `frozenset({1, 2})`, and likewise over a list or a tuple.
Parsed Parser::set_call(bool frozen) {
  Parsed source{py::tuple(), 1};
  expect('(');
  if (!take(')')) {
    skip_space();
    source = primary();
    PyObject* object = source.object.ptr();
    if (!PyList_CheckExact(object) && !PyTuple_CheckExact(object) && !PySet_CheckExact(object)) {
      refuse("a set of something else than a display");
    }
    take(',');
    expect(')');
  }
  PyObject* made = frozen ? PyFrozenSet_New(source.object.ptr()) : PySet_New(source.object.ptr());
  return {owned_or(made, PyExc_TypeError, "unhashable element"), source.depth};
}

py::object Parser::float_call() {
  expect('(');
  skip_space();
  if (!string_starts(rest())) refuse("not a plain value: this call of float");
  const auto literal = read_string(text_, at_);
  const std::string word = literal.is_bytes ? "" : literal.body;
  take(',');
  expect(')');
  const double sign = word.starts_with('-') ? -1 : 1;
  const auto letters = word.substr(word.starts_with('-') || word.starts_with('+') ? 1 : 0);
  if (letters == "nan") return py::float_(sign * std::numeric_limits<double>::quiet_NaN());
  if (letters == "inf") return py::float_(sign * std::numeric_limits<double>::infinity());
  refuse("not a plain value: this call of float");
}

py::object Parser::complex_call() {
  expect('(');
  const double real = part();
  expect(',');
  const double imaginary = part();
  take(',');
  expect(')');
  return owned(PyComplex_FromDoubles(real, imaginary));
}

double Parser::part() {
  const Parsed parsed = value();
  PyObject* object = parsed.object.ptr();
  if (!PyLong_CheckExact(object) && !PyFloat_CheckExact(object)) refuse("bad complex part");
  const py::object real = owned_or(PyNumber_Float(object), PyExc_OverflowError,
                                   "the part of a complex number is too large");
  return PyFloat_AS_DOUBLE(real.ptr());
}

Parsed Parser::brackets() {
  open_bracket();
  const char c = text_[at_++];
  Parsed result = c == '[' ? items(']') : c == '(' ? parenthesised() : braced();
  --open_brackets_;
  return result;
}

// Values up to `close`, as a list.
Parsed Parser::items(char close) {
  py::list values;
  int deepest = 0;
  while (!take(close)) {
    Parsed item = value();
    deepest = std::max(deepest, item.depth);
    values.append(std::move(item.object));
    if (take(',')) continue;
    expect(close);
    break;
  }
  return nested(std::move(values), deepest);
}

// A tuple, or a value in brackets that change nothing.
Parsed Parser::parenthesised() {
  if (take(')')) return nested(py::tuple(), 0);
  Parsed first = value();
  if (take(')')) return first;
  expect(',');
  const Parsed rest = items(')');
  const py::list one = py::list(1);
  PyList_SET_ITEM(one.ptr(), 0, first.object.release().ptr());
  const py::object all = owned(PySequence_Concat(one.ptr(), rest.object.ptr()));
  return nested(py::tuple(all), std::max(first.depth, rest.depth - 1));
}

Parsed Parser::braced() {
  if (take('}')) return nested(py::dict(), 0);
  Parsed first = value();
  if (take(':')) return dict_rest(std::move(first));
  Parsed rest{py::list(), 1};
  if (!take('}')) {
    expect(',');
    rest = items('}');
  }
  const py::object made = owned(PySet_New(nullptr));
  const auto add = [&](PyObject* item) {
    owned_or(PySet_Add(made.ptr(), item) == 0 ? py::none().release().ptr() : nullptr,
             PyExc_TypeError, "unhashable element");
  };
  add(first.object.ptr());
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rest.object.ptr()); ++i) {
    add(PyList_GET_ITEM(rest.object.ptr(), i));
  }
  return nested(made, std::max(first.depth, rest.depth - 1));
}

Parsed Parser::dict_rest(Parsed key) {
  py::dict made;
  int deepest = 0;
  for (;;) {
    const Parsed item = value();
    deepest = std::max({deepest, key.depth, item.depth});
    owned_or(PyDict_SetItem(made.ptr(), key.object.ptr(), item.object.ptr()) == 0
                 ? py::none().release().ptr()
                 : nullptr,
             PyExc_TypeError, "unhashable key");
    const bool comma = take(',');
    if (take('}')) return nested(std::move(made), deepest);
    if (!comma) refuse("expected ',' or '}'");
    key = value();
    expect(':');
  }
}

// Adjacent literals are one string.
py::object Parser::strings() {
  StringLiteral whole = read_string(text_, at_);
  for (skip_space(); string_starts(rest()); skip_space()) {
    const StringLiteral next = read_string(text_, at_);
    if (next.is_bytes != whole.is_bytes) refuse("bytes and str side by side");
    whole.body += next.body;
  }
  const auto size = static_cast<Py_ssize_t>(whole.body.size());
  if (whole.is_bytes) return owned(PyBytes_FromStringAndSize(whole.body.data(), size));
  return owned(PyUnicode_DecodeUTF8(whole.body.data(), size, "surrogatepass"));
}

}  // namespace

py::tuple decode_arguments(std::string_view text) {
  const auto size = static_cast<Py_ssize_t>(text.size());
  owned_or(PyUnicode_DecodeUTF8(text.data(), size, "strict"), PyExc_UnicodeDecodeError,
           "not UTF-8");
  return Parser(text).arguments();
}

}  // namespace azr
