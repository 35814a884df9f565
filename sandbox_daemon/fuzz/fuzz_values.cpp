// The codec of plain values: what a text spells has the value that Python gives it, and its
// canonical text spells the same again.
#include <pybind11/embed.h>
#include <unistd.h>

#include <optional>

#include "fuzz.h"
#include "interpreter.h"
#include "options.h"
#include "python_error.h"
#include "values.h"

namespace py = pybind11;

namespace {

using namespace azr;

constexpr size_t kCap = 1 << 20;

// What a text may name, as Python names it.
PyObject* g_names;

std::optional<py::tuple> decoded(std::string_view text) {
  try {
    return decode_arguments(text);
  } catch (const BadLiteral& bad) {
    HOLDS(!bad.message.empty());
  } catch (const PythonRaised&) {
    take_python_error();
  }
  return std::nullopt;
}

std::string encoded(py::handle value) {
  std::string text;
  try {
    encode_value(value.ptr(), kCap, text);
  } catch (const Unencodable& odd) {
    HOLDS(odd.verdict == Verdict::kOutput);  // too long: only plain values can be spelled
    return {};
  }
  return text;
}

// The same text, as Python itself reads it; nothing where it has bounds that are narrower.
std::optional<py::object> evaluated(const std::string& text) {
  const AnyNumberOfDigits lifted;
  PyObject* value = PyRun_String(("(" + text + "\n)").c_str(), Py_eval_input, g_names, g_names);
  if (value != nullptr) return py::reinterpret_steal<py::object>(value);
  const PythonError error = take_python_error();
  const bool narrower = error.message.find("too many nested") != std::string::npos;
  if (!narrower) std::fprintf(stderr, "%s: %s\n", error.type.c_str(), error.message.c_str());
  HOLDS(narrower);
  return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  start_interpreter({0, kDefaultPreload});
  // The interpreter keeps what it has to the end: not for the leak sanitizer to complain about.
  std::atexit([] {
    std::fflush(nullptr);
    ::_exit(0);
  });
  py::module_::import("warnings").attr("simplefilter")("ignore");
  g_names = py::eval("{'nan': float('nan'), 'inf': float('inf')}").release().ptr();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text = fuzz::copy_of(data, size);
  const auto values = decoded(text);
  if (!values) return 0;
  const std::string canonical = encoded(*values);
  if (canonical.empty()) return 0;
  const auto again = decoded(canonical);
  HOLDS(again && again->size() == 1);
  HOLDS(encoded((*again)[0]) == canonical);
  // Python's sources hold no zero bytes; its strings do, and so do texts of arguments.
  if (values->empty() || text.find('\0') != text.npos) return 0;
  const std::string comma = text.find_last_not_of(" \t\r\n\f") == text.rfind(',') ? "" : ",";
  if (const auto pythons = evaluated(text + comma)) HOLDS(encoded(*pythons) == canonical);
  return 0;
}
