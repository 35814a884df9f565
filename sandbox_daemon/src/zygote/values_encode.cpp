// Values to text. Type checks are exact and every conversion is C code on an exact type, so that a
// patched repr, a subclass or an overridden method cannot matter.
#include <algorithm>
#include <cmath>
#include <vector>

#include "frames.h"
#include "utf8_cut.h"
#include "values.h"

namespace py = pybind11;

namespace azr {
namespace {

PyObject* g_get_limit = nullptr;
PyObject* g_set_limit = nullptr;

py::object owned(PyObject* object) {
  if (object == nullptr) throw PythonRaised();
  return py::reinterpret_steal<py::object>(object);
}

class Encoder {
 public:
  Encoder(size_t cap, std::string& out) : cap_(cap), out_(out) {}
  void write(PyObject* value, int depth);

 private:
  void put(std::string_view text) {
    if (text.size() > cap_ - std::min(cap_, out_.size())) too_large();
    out_ += text;
  }
  [[noreturn]] void too_large() {
    throw Unencodable{Verdict::kOutput, "value longer than " + std::to_string(cap_) + " bytes"};
  }
  void need(size_t bytes) {
    if (bytes > cap_) too_large();
  }
  bool write_scalar(PyObject* value);
  void write_container(PyObject* value, int depth);
  void write_text(PyObject* text);
  void write_int(PyObject* value);
  void write_float(double value);
  void write_complex(PyObject* value);
  void write_dict(PyObject* value, int depth);
  void write_set(PyObject* value, int depth);

  size_t cap_;
  std::string& out_;
};

// A program names its types as long as it likes.
std::string type_name_of(PyObject* value) {
  return std::string(cut_utf8(Py_TYPE(value)->tp_name, kMaxType));
}

void Encoder::write(PyObject* value, int depth) {
  if (write_scalar(value)) return;
  if (PyList_CheckExact(value) || PyTuple_CheckExact(value) || PyDict_CheckExact(value) ||
      PyAnySet_CheckExact(value)) {
    if (depth == kMaxDepth) {
      throw Unencodable{Verdict::kOutput, "nested deeper than " + std::to_string(kMaxDepth)};
    }
    write_container(value, depth + 1);
    return;
  }
  throw Unencodable{Verdict::kError, "not a plain value: " + type_name_of(value)};
}

bool Encoder::write_scalar(PyObject* value) {
  if (value == Py_None) {
    put("None");
  } else if (value == Py_True || value == Py_False) {
    put(value == Py_True ? "True" : "False");
  } else if (PyLong_CheckExact(value)) {
    write_int(value);
  } else if (PyFloat_CheckExact(value)) {
    write_float(PyFloat_AS_DOUBLE(value));
  } else if (PyUnicode_CheckExact(value)) {
    need(static_cast<size_t>(PyUnicode_GET_LENGTH(value)));
    write_text(owned(PyUnicode_Type.tp_repr(value)).ptr());
  } else if (PyBytes_CheckExact(value)) {
    need(static_cast<size_t>(PyBytes_GET_SIZE(value)));
    write_text(owned(PyBytes_Type.tp_repr(value)).ptr());
  } else if (PyComplex_CheckExact(value)) {
    write_complex(value);
  } else {
    return false;
  }
  return true;
}

void Encoder::write_text(PyObject* text) {
  Py_ssize_t size;
  const char* bytes = PyUnicode_AsUTF8AndSize(text, &size);
  if (bytes == nullptr) throw PythonRaised();
  put({bytes, static_cast<size_t>(size)});
}

void Encoder::write_int(PyObject* value) {
  const size_t bits = _PyLong_NumBits(value);
  need(static_cast<size_t>(static_cast<double>(bits) * 0.30102));  // digits, never overstated
  if (bits < 2000) return write_text(owned(PyLong_Type.tp_repr(value)).ptr());
  const AnyNumberOfDigits lifted;
  write_text(owned(PyLong_Type.tp_repr(value)).ptr());
}

void Encoder::write_float(double value) {
  char* text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, nullptr);
  if (text == nullptr) throw PythonRaised();
  const std::string copy = text;
  PyMem_Free(text);
  put(copy);
}

// `complex(re, im)` for parts that a literal would not bring back.
void Encoder::write_complex(PyObject* value) {
  const Py_complex z = reinterpret_cast<PyComplexObject*>(value)->cval;
  const auto odd = [](double x) { return !std::isfinite(x) || (x == 0 && std::signbit(x)); };
  if (!odd(z.real) && !odd(z.imag) && !(z.real == 0 && z.imag < 0)) {
    return write_text(owned(PyComplex_Type.tp_repr(value)).ptr());
  }
  put("complex(");
  write_float(z.real);
  put(", ");
  write_float(z.imag);
  put(")");
}

void Encoder::write_container(PyObject* value, int depth) {
  if (PyList_CheckExact(value)) {
    put("[");
    // The size is read anew each time round: never beyond the list as it is.
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); ++i) {
      if (i > 0) put(", ");
      write(PyList_GET_ITEM(value, i), depth);
    }
    put("]");
  } else if (PyTuple_CheckExact(value)) {
    const Py_ssize_t size = PyTuple_GET_SIZE(value);
    put("(");
    for (Py_ssize_t i = 0; i < size; ++i) {
      if (i > 0) put(", ");
      write(PyTuple_GET_ITEM(value, i), depth);
    }
    put(size == 1 ? ",)" : ")");
  } else if (PyDict_CheckExact(value)) {
    write_dict(value, depth);
  } else {
    write_set(value, depth);
  }
}

void Encoder::write_dict(PyObject* value, int depth) {
  PyObject *key, *item;
  Py_ssize_t position = 0;
  bool first = true;
  put("{");
  while (PyDict_Next(value, &position, &key, &item)) {
    if (!first) put(", ");
    first = false;
    write(key, depth);
    put(": ");
    write(item, depth);
  }
  put("}");
}

// Elements in the order of their texts' bytes, so that hashing leaves no trace.
void Encoder::write_set(PyObject* value, int depth) {
  const bool frozen = PyFrozenSet_CheckExact(value);
  if (PySet_GET_SIZE(value) == 0) return put(frozen ? "frozenset()" : "set()");
  std::vector<std::string> texts;
  size_t total = 0;
  const py::object iterator = owned(PyObject_GetIter(value));
  while (PyObject* item = PyIter_Next(iterator.ptr())) {
    const py::object holder = owned(item);
    Encoder(cap_ - std::min(cap_, total), texts.emplace_back()).write(item, depth);
    total += texts.back().size() + 2;
  }
  if (PyErr_Occurred()) throw PythonRaised();
  std::ranges::sort(texts);
  put(frozen ? "frozenset({" : "{");
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) put(", ");
    put(texts[i]);
  }
  put(frozen ? "})" : "}");
}

// The collector could run finalizers, which are the program's code, in the middle of a value.
class NoCollection {
 public:
  NoCollection() : was_enabled_(PyGC_Disable() != 0) {}
  ~NoCollection() {
    if (was_enabled_) PyGC_Enable();
  }

 private:
  bool was_enabled_;
};

}  // namespace

void encode_value(PyObject* value, size_t cap, std::string& out) {
  const NoCollection quiet;
  Encoder(cap, out).write(value, 0);
}

void AnyNumberOfDigits::prepare() {
  const auto sys = py::module_::import("sys");
  g_get_limit = py::object(sys.attr("get_int_max_str_digits")).release().ptr();
  g_set_limit = py::object(sys.attr("set_int_max_str_digits")).release().ptr();
}

AnyNumberOfDigits::AnyNumberOfDigits() : limit_(PyObject_CallNoArgs(g_get_limit)) {
  const py::int_ none(0);
  Py_XDECREF(PyObject_CallOneArg(g_set_limit, none.ptr()));
}

AnyNumberOfDigits::~AnyNumberOfDigits() {
  PyObject *type, *value, *trace;  // the call must not see, nor clear, an exception on its way out
  PyErr_Fetch(&type, &value, &trace);
  if (limit_ != nullptr) Py_XDECREF(PyObject_CallOneArg(g_set_limit, limit_));
  Py_XDECREF(limit_);
  PyErr_Clear();
  PyErr_Restore(type, value, trace);
}

}  // namespace azr
