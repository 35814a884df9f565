#include "jail_needs.h"

#include <Python.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

namespace azr {
namespace {

// Refused in a fork whatever their arguments, and named after what the program wants: making one
// ends the program with the kernel's word for it.
#if defined(__x86_64__)
constexpr int kTask = SYS_vfork;
#else
constexpr int kTask = SYS_unshare;
#endif
constexpr int kFile = SYS_open_by_handle_at;

[[noreturn]] void refuse(int syscall) {
  ::syscall(syscall, -1, nullptr, 0);
  ::_exit(1);
}

// Names of audit events, or their beginnings (PEP 578; the library's manual has a table of them).
struct Need {
  std::string_view event;
  int syscall;
};
constexpr Need kNeeds[] = {
    {"os.fork", kTask},     {"os.posix_spawn", kTask}, {"subprocess.Popen", kTask},
    {"os.mkdir", kFile},    {"os.rename", kFile},      {"os.remove", kFile},
    {"os.rmdir", kFile},    {"os.symlink", kFile},     {"os.link", kFile},
    {"os.truncate", kFile}, {"os.chmod", kFile},       {"os.utime", kFile},
    {"tempfile.mk", kFile},
};

std::string_view text_of(PyObject* object) {
  if (PyBytes_Check(object)) {
    return {PyBytes_AS_STRING(object), static_cast<size_t>(PyBytes_GET_SIZE(object))};
  }
  Py_ssize_t size = 0;
  const char* text = PyUnicode_Check(object) ? PyUnicode_AsUTF8AndSize(object, &size) : nullptr;
  if (text == nullptr) PyErr_Clear();
  return text == nullptr ? std::string_view() : std::string_view(text, static_cast<size_t>(size));
}

// open(path, mode, flags): to write, or a device that a fork does not have.
bool opens_more(PyObject* arguments) {
  PyObject *path, *mode;
  int flags = 0;
  if (!PyArg_ParseTuple(arguments, "OOi", &path, &mode, &flags)) {
    PyErr_Clear();
    return false;
  }
  const std::string_view name = text_of(path);
  if (name == "/dev/null") return false;
  return name.starts_with("/dev/") || (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
}

// A module of the library that makes semaphores or files by C code, which tells of nothing.
bool imports_more(PyObject* arguments) {
  const std::string_view name =
      PyTuple_GET_SIZE(arguments) > 0 ? text_of(PyTuple_GET_ITEM(arguments, 0)) : "";
  return name == "_multiprocessing" || name == "multiprocessing.synchronize";
}

bool connects_to_file(PyObject* arguments) {
  const std::string_view name =
      PyTuple_GET_SIZE(arguments) > 0 ? text_of(PyTuple_GET_ITEM(arguments, 0)) : "";
  return !name.empty() && name != ":memory:";
}

int on_event(const char* event, PyObject* arguments, void*) {
  const std::string_view name(event);
  if (name == "open" && opens_more(arguments)) refuse(kFile);
  if (name == "import" && imports_more(arguments)) refuse(kFile);
  if (name == "sqlite3.connect" && connects_to_file(arguments)) refuse(kFile);
  for (const Need& need : kNeeds) {
    if (name.starts_with(need.event)) refuse(need.syscall);
  }
  return 0;
}

PyObject* refuse_thread(PyObject*, PyObject*, PyObject*) { refuse(kTask); }

// There is an event for threads since Python 3.12 only: their functions end the program instead.
void replace_in(PyObject* module, PyObject* function) {
  for (const char* name : {"start_new_thread", "start_new", "start_joinable_thread",
                           "_start_new_thread", "_start_joinable_thread"}) {
    if (PyObject_HasAttrString(module, name)) PyObject_SetAttrString(module, name, function);
  }
}

void refuse_threads() {
  static PyMethodDef method = {
      "start_new_thread",
      reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(refuse_thread)),
      METH_VARARGS | METH_KEYWORDS, nullptr};
  PyObject* function = PyCFunction_New(&method, nullptr);
  PyObject* modules = PyImport_GetModuleDict();
  for (const char* name : {"_thread", "threading"}) {
    PyObject* module = PyDict_GetItemString(modules, name);
    if (module != nullptr && function != nullptr) replace_in(module, function);
  }
  PyErr_Clear();
}

}  // namespace

void refuse_what_a_jail_gives() {
  PySys_AddAuditHook(on_event, nullptr);
  refuse_threads();
}

}  // namespace azr
