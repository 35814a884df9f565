#include "program.h"

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <array>

#include "generators.h"
#include "memory_refusals.h"
#include "other_ids.h"
#include "python_error.h"
#include "random.h"
#include "random_heap.h"
#include "replica_clock.h"
#include "utf8_cut.h"
#include "values.h"

namespace py = pybind11;

namespace azr {
namespace {

struct Warm {
  PyObject* stdout_;
  PyObject* stderr_;
  PyObject* run_exit_functions;  // atexit._run_exitfuncs
  PyObject* main_thread;         // of `threading`; null where that is not imported
};
Warm g_warm{};

// Views into `error`.
Record record_of(RecordKind kind, const PythonError& error) {
  return {kind, error.verdict, error.line, 0, error.type, error.message, {}};
}

// What no exception of the program says.
Record reason_of(RecordKind kind, Verdict verdict, std::string_view reason,
                 std::string_view message) {
  return {kind, verdict, 0, 0, reason, message, {}, /*ours=*/true};
}

class ProgramRun {
 public:
  // `random`: what its random numbers follow where the job gives no seed.
  ProgramRun(const TaskHeader& job, const Request& request, RecordWriter& records, pid_t owner,
             uint64_t random)
      : job_(job),
        request_(request),
        records_(records),
        owner_(owner),
        random_(random),
        output_left_(job.limits.values) {}
  // Never throws.
  void all();

 private:
  void call();
  void script();
  bool seed_generators() const;
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

  const TaskHeader& job_;
  const Request& request_;
  RecordWriter& records_;
  const pid_t owner_;
  const uint64_t random_;
  py::object namespace_;
  size_t output_left_;
  bool reported_ = false;  // how the program's body went, or how the script ended
};

// A process that the program made, in a jail, ran on into our code: it has nothing to say.
void ProgramRun::leave_to_owner() const {
  if (owner_ != 0 && true_process_id() != owner_) ::_exit(0);
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

// Anew where the job gives no seed: all children of a zygote would draw the same random numbers.
// False with an exception set when it could not be.
bool ProgramRun::seed_generators() const {
  return job_.has_seed ? azr::seed_generators(job_.seed) : reseed_generators(random_);
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
  if (!seed_generators()) return false;
  const py::object code = compile();
  if (!code) return false;
  return static_cast<bool>(
      py::reinterpret_steal<py::object>(PyEval_EvalCode(code.ptr(), globals, globals)));
}

// Nothing, and a report of why, where the program has no such function.
py::object ProgramRun::find_entry() {
  const auto name = py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(
      request_.entry.data(), static_cast<Py_ssize_t>(request_.entry.size()), "replace"));
  if (!name) throw py::error_already_set();  // no memory
  PyObject* entry = PyDict_GetItem(namespace_.ptr(), name.ptr());
  if (entry != nullptr && PyCallable_Check(entry)) {
    return py::reinterpret_borrow<py::object>(entry);
  }
  const std::string quoted = "'" + std::string(name) + "'";
  const std::string fault =
      entry == nullptr ? "the program defines no " + quoted : quoted + " is not callable";
  report(reason_of(RecordKind::kLoad, Verdict::kError, "NoEntry", fault));
  return {};
}

void ProgramRun::call() {
  if (!execute("program")) {
    report_error(RecordKind::kLoad, take_python_error());
  } else if (const py::object entry = find_entry()) {
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
    const Verdict verdict = memory_was_refused() ? Verdict::kMemory : Verdict::kError;
    report({RecordKind::kCase, verdict, 0, 0, "MemoryError", {}, {}});
  }
}

void ProgramRun::try_case(PyObject* entry, std::string_view arguments) {
  forget_refused_memory();
  try {
    const py::tuple values = decode_arguments(arguments);
    const auto result =
        py::reinterpret_steal<py::object>(PyObject_Call(entry, values.ptr(), nullptr));
    if (!result) throw PythonRaised();
    report_value(result.ptr());
  } catch (const BadLiteral& bad) {
    report(reason_of(RecordKind::kCase, Verdict::kError, "BadArgument", bad.message));
  } catch (const Unencodable& odd) {
    const char* reason = odd.verdict == Verdict::kError ? "NotPlainValue" : "";
    report(reason_of(RecordKind::kCase, odd.verdict, reason, odd.message));
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
  // It looks once at what each signal does: before a handler of ours is there.
  py::module_::import("_signal");
  const auto keep = [](const char* module, const char* name) {
    return py::object(py::module_::import(module).attr(name)).release().ptr();
  };
  const bool has_threads = py::module_::import("sys").attr("modules").contains("threading");
  g_warm = {keep("sys", "stdout"), keep("sys", "stderr"), keep("atexit", "_run_exitfuncs"),
            has_threads ? keep("threading", "_main_thread") : nullptr};
}

void set_thread_id(unsigned long id) {
  if (g_warm.main_thread == nullptr) return;
  py::handle(g_warm.main_thread).attr("_native_id") = py::int_(id);
}

void run_program(const TaskHeader& job, const Request& request, RecordWriter& records,
                 pid_t owner) {
  const auto drawn = random_value<std::array<uint64_t, 2>>();
  turn_heap(drawn[0]);
  become_replica(job.replica);
  ProgramRun(job, request, records, owner, drawn[1]).all();
  records.append({RecordKind::kDone, Verdict::kOk, 0, 0, {}, {}, {}});
}

}  // namespace azr
