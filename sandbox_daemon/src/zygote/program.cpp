#include "program.h"

#include <pybind11/pybind11.h>
#include <unistd.h>

#include "python_error.h"
#include "random.h"
#include "random_state.h"
#include "utf8_cut.h"
#include "values.h"

namespace py = pybind11;

namespace azr {
namespace {

struct Warm {
  PyObject* seed;  // random.seed
  PyObject* stdout_;
  PyObject* stderr_;
  PyObject* run_exit_functions;  // atexit._run_exitfuncs
  RandomState random;
};
Warm g_warm{};

// Views into `error`.
Record record_of(RecordKind kind, const PythonError& error) {
  return {kind, error.verdict, error.line, 0, error.type, error.message, {}};
}

// Anew where the job gives no seed: all children of a zygote would draw the same random numbers.
// False with an exception set when it could not be.
bool seed_random(const JobHeader& job) {
  if (!job.has_seed && g_warm.random.is_known()) {
    g_warm.random.fill(random_value<uint64_t>());
    return true;
  }
  const auto seed = py::int_(job.has_seed ? job.seed : random_value<int64_t>());
  return static_cast<bool>(
      py::reinterpret_steal<py::object>(PyObject_CallOneArg(g_warm.seed, seed.ptr())));
}

class ProgramRun {
 public:
  ProgramRun(const JobHeader& job, const Request& request, RecordWriter& records)
      : job_(job), request_(request), records_(records), output_left_(job.limits.values) {}
  // Never throws.
  void all();

 private:
  void call();
  void script();
  bool execute(const char* module_name);
  py::object compile();
  py::object find_entry();
  void run_case(PyObject* entry, std::string_view arguments);
  void try_case(PyObject* entry, std::string_view arguments);
  void report_value(PyObject* value);
  void report(const Record& whole);
  void leave_to_owner() const;
  void report_error(RecordKind kind, const PythonError& error) { report(record_of(kind, error)); }
  void flush();

  const JobHeader& job_;
  const Request& request_;
  RecordWriter& records_;
  const pid_t owner_ = ::getpid();
  py::object namespace_;
  size_t output_left_;
  bool reported_ = false;  // how the program's body went, or how the script ended
};

// A process that the program made, in a jail, ran on into our code: it has nothing to say.
void ProgramRun::leave_to_owner() const {
  if (::getpid() != owner_) ::_exit(0);
}

// The broker takes no longer texts.
void ProgramRun::report(const Record& whole) {
  leave_to_owner();
  reported_ = true;
  Record record = whole;
  record.type = cut_utf8(record.type, kMaxType);
  record.message = cut_utf8(record.message, kMaxMessage);
  if (records_.append(record)) return;
  records_.append({record.kind, Verdict::kOutput, 0, 0, "", "results too large", ""});
}

void call_quietly(PyObject* function) {
  Py_XDECREF(PyObject_CallNoArgs(function));
  PyErr_Clear();
}

void ProgramRun::flush() {
  for (PyObject* stream : {g_warm.stdout_, g_warm.stderr_}) {
    Py_XDECREF(PyObject_CallMethod(stream, "flush", nullptr));
    PyErr_Clear();
  }
}

py::object ProgramRun::compile() {
  if (request_.program.find('\0') != std::string_view::npos) {
    PyErr_SetString(PyExc_SyntaxError, "source code string cannot contain null bytes");
    return {};
  }
  PyCompilerFlags flags{};
  flags.cf_flags = PyCF_IGNORE_COOKIE;  // the text is UTF-8, whatever it says
  flags.cf_feature_version = PY_MINOR_VERSION;
  return py::reinterpret_steal<py::object>(Py_CompileStringExFlags(
      std::string(request_.program).c_str(), kProgramFile, Py_file_input, &flags, -1));
}

// Runs the program's body in a fresh module. False with an exception set when it raised.
bool ProgramRun::execute(const char* module_name) {
  const auto module = py::reinterpret_steal<py::object>(PyModule_New(module_name));
  if (!module) return false;
  PyObject* globals = PyModule_GetDict(module.ptr());
  namespace_ = py::reinterpret_borrow<py::object>(globals);
  if (PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) != 0 ||
      PyDict_SetItemString(PyImport_GetModuleDict(), module_name, module.ptr()) != 0) {
    return false;
  }
  if (!seed_random(job_)) return false;
  const py::object code = compile();
  if (!code) return false;
  return static_cast<bool>(
      py::reinterpret_steal<py::object>(PyEval_EvalCode(code.ptr(), globals, globals)));
}

py::object ProgramRun::find_entry() {
  const std::string name(request_.entry);
  PyObject* entry = PyDict_GetItemString(namespace_.ptr(), name.c_str());
  if (entry == nullptr) {
    PyErr_Format(PyExc_NameError, "the program defines no '%s'", name.c_str());
  } else if (!PyCallable_Check(entry)) {
    PyErr_Format(PyExc_TypeError, "'%s' is not callable", name.c_str());
    entry = nullptr;
  }
  return py::reinterpret_borrow<py::object>(entry);
}

void ProgramRun::call() {
  const py::object entry = execute("program") ? find_entry() : py::object();
  if (!entry) {
    report_error(RecordKind::kLoad, take_python_error());
  } else {
    report({RecordKind::kLoad, Verdict::kOk, 0, 0, {}, {}, {}});
    for (const auto arguments : request_.arguments) run_case(entry.ptr(), arguments);
  }
  flush();
}

// A case that leaves no memory to say so is still a case, and spares those before and after it: its
// record is made of nothing that must be allocated.
void ProgramRun::run_case(PyObject* entry, std::string_view arguments) {
  try {
    try_case(entry, arguments);
  } catch (...) {  // bad_alloc, or pybind11's errors where Python had no memory
    PyErr_Clear();
    report({RecordKind::kCase, Verdict::kMemory, 0, 0, "MemoryError", {}, {}});
  }
}

void ProgramRun::try_case(PyObject* entry, std::string_view arguments) {
  try {
    const py::tuple values = decode_arguments(arguments);
    const auto result =
        py::reinterpret_steal<py::object>(PyObject_Call(entry, values.ptr(), nullptr));
    if (!result) throw PythonRaised();
    report_value(result.ptr());
  } catch (const BadLiteral& bad) {
    report({RecordKind::kCase, Verdict::kError, 0, 0, "BadArgument", bad.message, {}});
  } catch (const Unencodable& odd) {
    const char* type = odd.verdict == Verdict::kError ? "NotPlainValue" : "";
    report({RecordKind::kCase, odd.verdict, 0, 0, type, odd.message, {}});
  } catch (const PythonRaised&) {
    report_error(RecordKind::kCase, take_python_error());
  }
}

void ProgramRun::report_value(PyObject* value) {
  std::string text;
  encode_value(value, output_left_, text);
  output_left_ -= text.size();
  report({RecordKind::kCase, Verdict::kOk, 0, 0, {}, {}, text});
}

void ProgramRun::script() {
  const bool clean = execute("__main__");
  PythonError error;
  if (!clean) error = take_python_error(/*print=*/true);
  call_quietly(g_warm.run_exit_functions);
  flush();
  Record record = clean ? Record{} : record_of(RecordKind::kExit, error);
  record.kind = RecordKind::kExit;
  record.number = clean ? 0 : error.exit_status;
  if (record.number == 0) record = {RecordKind::kExit, Verdict::kOk, 0, 0, {}, {}, {}};
  report(record);
}

void ProgramRun::all() {
  try {
    if (job_.kind == JobKind::kCall) {
      call();
    } else {
      script();
    }
  } catch (...) {  // bad_alloc, or pybind11's errors where Python had no memory
    PyErr_Clear();
    if (!reported_) report({RecordKind::kLoad, Verdict::kMemory, 0, 0, "MemoryError", {}, {}});
  }
}

}  // namespace

void prepare_programs() {
  const auto keep = [](const char* module, const char* name) {
    return py::object(py::module_::import(module).attr(name)).release().ptr();
  };
  g_warm = {keep("random", "seed"), keep("sys", "stdout"), keep("sys", "stderr"),
            keep("atexit", "_run_exitfuncs"),
            RandomState(py::module_::import("random").attr("_inst"))};
}

void run_program(const JobHeader& job, const Request& request, RecordWriter& records) {
  ProgramRun(job, request, records).all();
  records.append({RecordKind::kDone, Verdict::kOk, 0, 0, {}, {}, {}});
}

}  // namespace azr
