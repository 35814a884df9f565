#include "interpreter.h"

#include <fcntl.h>
#include <pybind11/embed.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "error.h"
#include "generators.h"
#include "python_error.h"
#include "random_heap.h"
#include "unique_fd.h"
#include "values.h"

namespace py = pybind11;

namespace azr {
namespace {

// The standard streams are made while 0, 1 and 2 are pipes: streams that never try to seek.
class PipesAsStandardStreams {
 public:
  PipesAsStandardStreams() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw StartError("cannot make a pipe: " + errno_text());
    for (int fd = 0; fd < 3; ++fd) saved_[fd].reset(::fcntl(fd, F_DUPFD_CLOEXEC, 10));
    ::dup2(ends[0], 0);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~PipesAsStandardStreams() {
    for (int fd = 0; fd < 3; ++fd) ::dup2(saved_[fd].get(), fd);
  }

 private:
  UniqueFd saved_[3];
};

void check_home() {
  const std::string home = std::string(AZR_PYTHON_HOME);
  const std::string probe = home.substr(0, home.find(':')) + "/lib/python" +
                            std::to_string(PY_MAJOR_VERSION) + "." +
                            std::to_string(PY_MINOR_VERSION) + "/os.py";
  if (::access(probe.c_str(), R_OK) != 0) {
    throw StartError(
        "interpreter: cannot read " + probe + " (" + errno_text() +
        "), the Python this was built for: reinstall azr-sandboxd with the present one");
  }
}

void initialize(const InterpreterConfig& settings) {
  PyPreConfig preconfig;
  PyPreConfig_InitIsolatedConfig(&preconfig);
  preconfig.utf8_mode = 1;
  PyStatus status = Py_PreInitialize(&preconfig);
  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;  // no site directories: the standard library is all a program sees
  config.write_bytecode = 0;
  config.install_signal_handlers = 0;
  config.pathconfig_warnings = 0;
  config.use_hash_seed = 1;
  config.hash_seed = settings.hash_seed;
  if (!PyStatus_Exception(status)) {
    status = PyConfig_SetBytesString(&config, &config.home, AZR_PYTHON_HOME);
  }
  if (PyStatus_Exception(status)) throw StartError(std::string("interpreter: ") + status.err_msg);
  shuffle_small_blocks();  // of what is warm later; what programs get is another order
  new py::scoped_interpreter(&config, 0, nullptr, false);  // lives as long as the process
}

void check_identity() {
  const auto sys = py::module_::import("sys");
  const std::string prefix = py::str(sys.attr("base_prefix"));
  const std::string running = std::string(Py_GetVersion());
  const std::string home = AZR_PYTHON_HOME;
  if (running.substr(0, running.find(' ')) != AZR_PYTHON_VERSION ||
      prefix != home.substr(0, home.find(':'))) {
    throw StartError("interpreter: built for Python " AZR_PYTHON_VERSION " in " AZR_PYTHON_HOME
                     ", but " +
                     running.substr(0, running.find(' ')) + " in " + prefix +
                     " runs: reinstall azr-sandboxd with the present Python");
  }
}

// The builtins that `site` adds (exit, quit, help, copyright), without its search for directories.
void add_site_builtins() {
  const auto site = py::module_::import("site");
  for (const char* step : {"setquit", "setcopyright", "sethelper"}) site.attr(step)();
}

// What modules would do in each child, they are not told of: locks are free and threads are one,
// since the zygote is alone; and generators of random numbers get their state from us
// (generators.h).
class WithoutForkHooks {
 public:
  WithoutForkHooks() : os_(py::module_::import("os")), original_(os_.attr("register_at_fork")) {
    os_.attr("register_at_fork") = py::cpp_function([](const py::kwargs&) {});
  }
  ~WithoutForkHooks() { os_.attr("register_at_fork") = original_; }

 private:
  py::module_ os_;
  py::object original_;
};

void extend_path(const std::string& folders) {
  const auto path = py::module_::import("sys").attr("path");
  for (size_t begin = 0; begin < folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string folder = folders.substr(begin, end - begin);
    begin = end + 1;
    if (folder.empty()) continue;
    if (folder[0] != '/' || ::access(folder.c_str(), R_OK | X_OK) != 0) {
      throw StartError("path: " + folder + " is no folder that can be read: correct --path");
    }
    path.attr("append")(folder);
  }
}

// What asks libraries that start threads when they are loaded to make do with one. Programs do not
// see it: `os.environ` is a copy from before.
class OneThreadAsked {
 public:
  OneThreadAsked() {
    for (const char* name : kNames) ::setenv(name, "1", 1);
  }
  ~OneThreadAsked() {
    for (const char* name : kNames) ::unsetenv(name);
  }

 private:
  static constexpr const char* kNames[] = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
                                           "MKL_NUM_THREADS"};
};

void check_one_thread() {
  std::error_code fault;
  const std::filesystem::directory_iterator threads("/proc/self/task", fault);
  if (fault || std::distance(begin(threads), end(threads)) == 1) return;
  throw StartError("preload: a module has started threads, which no fork has: leave it out");
}

void preload(const std::string& names) {
  const WithoutForkHooks no_hooks;
  const OneThreadAsked one_thread;
  const UnseededWatch unseeded;
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty()) continue;
    if (PyObject* module = PyImport_ImportModule(name.c_str())) {
      Py_DECREF(module);
      continue;
    }
    const PythonError error = take_python_error();
    throw StartError("preload: cannot import '" + name + "' (" + error.type + ": " + error.message +
                     "): correct --preload");
  }
}

}  // namespace

void start_interpreter(const InterpreterConfig& config) {
  check_home();
  const PipesAsStandardStreams pipes;
  try {
    initialize(config);
    check_identity();
    add_site_builtins();
    extend_path(config.path);
    preload(config.preload);
    find_generators();
    check_one_thread();
    AnyNumberOfDigits::prepare();
    const auto gc = py::module_::import("gc");
    gc.attr("collect")();
    gc.attr("freeze")();  // what is warm is never walked, so never copied, by a child's collector
  } catch (const py::error_already_set& error) {
    throw StartError(std::string("interpreter: ") + error.what());
  } catch (const StartError&) {
    throw;
  } catch (const std::exception& error) {  // pybind11 reports a failed start this way
    throw StartError(std::string("interpreter: ") + error.what());
  }
}

std::vector<std::string> import_paths() {
  std::vector<std::string> paths;
  for (const auto& entry : py::module_::import("sys").attr("path")) {
    const std::string path = py::str(entry);
    struct stat info{};
    if (!path.empty() && path[0] == '/' && ::stat(path.c_str(), &info) == 0) paths.push_back(path);
  }
  return paths;
}

}  // namespace azr
