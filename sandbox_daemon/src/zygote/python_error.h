// A Python exception as data: its type's name, its text, and the line of the program it came from.
#pragma once

#include <string>

#include "frames.h"
#include "verdict.h"

namespace azr {

inline constexpr const char* kProgramFile = "<program>";

struct PythonError {
  Verdict verdict = Verdict::kError;  // kMemory: a MemoryError, and memory was refused
  std::string type;
  std::string message;
  int line = 0;  // 0: none
  bool is_exit = false;
  int exit_status = 1;
};

// Takes the exception that is set. Its __str__ may be the program's code; what it does is
// contained. With `print`, the traceback goes to sys.stderr as the interpreter would print it.
PythonError take_python_error(bool print = false);

}  // namespace azr
