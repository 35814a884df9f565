#include "python_error.h"

#include <pybind11/pybind11.h>

#include <cstring>

#include "memory_refusals.h"
#include "utf8_cut.h"

namespace py = pybind11;

namespace azr {
namespace {

// Takes the exception that is set, normalized; null when there is none.
py::object take_exception() {
#if PY_VERSION_HEX >= 0x030C0000
  return py::reinterpret_steal<py::object>(PyErr_GetRaisedException());
#else
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (value != nullptr && trace != nullptr) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return py::reinterpret_steal<py::object>(value);
#endif
}

py::object attribute(PyObject* object, const char* name) {
  PyObject* value = PyObject_GetAttrString(object, name);
  if (value == nullptr) PyErr_Clear();
  return py::reinterpret_steal<py::object>(value);
}

int as_int(const py::object& value) {
  if (!value || !PyLong_Check(value.ptr())) return 0;
  int overflow;
  const long number = PyLong_AsLongAndOverflow(value.ptr(), &overflow);
  return overflow != 0 || number < 0 || number > INT32_MAX ? 0 : static_cast<int>(number);
}

bool in_program(PyObject* frame) {
  const py::object code = attribute(frame, "f_code");
  const py::object file = code ? attribute(code.ptr(), "co_filename") : py::object();
  return file && PyUnicode_Check(file.ptr()) &&
         PyUnicode_CompareWithASCIIString(file.ptr(), kProgramFile) == 0;
}

// The line of the innermost frame that is the program's own.
int line_of(PyObject* exception) {
  int line = 0;
  py::object trace = py::reinterpret_steal<py::object>(PyException_GetTraceback(exception));
  while (trace && PyTraceBack_Check(trace.ptr())) {
    const py::object frame = attribute(trace.ptr(), "tb_frame");
    if (frame && in_program(frame.ptr())) line = as_int(attribute(trace.ptr(), "tb_lineno"));
    trace = attribute(trace.ptr(), "tb_next");
  }
  if (line == 0 && PyErr_GivenExceptionMatches(exception, PyExc_SyntaxError)) {
    line = as_int(attribute(exception, "lineno"));
  }
  return line;
}

std::string text_of(PyObject* exception) {
  const auto text = py::reinterpret_steal<py::object>(PyObject_Str(exception));
  const auto bytes = py::reinterpret_steal<py::object>(
      text ? PyUnicode_AsEncodedString(text.ptr(), "utf-8", "backslashreplace") : nullptr);
  if (!bytes || !PyBytes_CheckExact(bytes.ptr())) {
    PyErr_Clear();
    return "";
  }
  const auto size = static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()));
  return std::string(cut_utf8({PyBytes_AS_STRING(bytes.ptr()), size}, kMaxMessage));
}

std::string type_name(PyObject* exception) {
  const char* name = Py_TYPE(exception)->tp_name;
  const char* dot = std::strrchr(name, '.');
  return std::string(cut_utf8(dot == nullptr ? name : dot + 1, kMaxType));
}

// As the interpreter takes sys.exit's argument: a number, nothing (0), or words for stderr (1).
int exit_status_of(PyObject* exception, bool print) {
  const py::object code = attribute(exception, "code");
  if (!code || code.is_none()) return 0;
  if (PyLong_Check(code.ptr())) {
    const long status = PyLong_AsLong(code.ptr());  // -1 for one that is too large
    PyErr_Clear();
    return static_cast<int>(status & 0xff);
  }
  if (print) PySys_FormatStderr("%S\n", code.ptr());
  PyErr_Clear();
  return 1;
}

void print_traceback(PyObject* exception) {
  const py::object trace = py::reinterpret_steal<py::object>(PyException_GetTraceback(exception));
  PyErr_Display(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception, trace.ptr());
  PyErr_Clear();
}

}  // namespace

PythonError take_python_error(bool print) {
  PythonError error;
  const py::object exception = take_exception();
  if (!exception) return error;
  PyObject* raised = exception.ptr();
  error.type = type_name(raised);
  error.line = line_of(raised);
  if (memory_was_refused() && PyErr_GivenExceptionMatches(raised, PyExc_MemoryError)) {
    error.verdict = Verdict::kMemory;
  }
  if (PyErr_GivenExceptionMatches(raised, PyExc_SystemExit)) {
    error.is_exit = true;
    error.exit_status = exit_status_of(raised, print);
  } else if (print) {
    print_traceback(raised);
  }
  error.message = text_of(raised);
  return error;
}

}  // namespace azr
