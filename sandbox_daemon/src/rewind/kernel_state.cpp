#include "kernel_state.h"

#include <sstream>

#include "writable_memory.h"

namespace azr {
namespace {

constexpr const char* kStatusLines[] = {"Umask",  "State",      "Threads", "Sig",    "Shd",
                                        "Cap",    "NoNewPrivs", "Seccomp", "VmSize", "VmLck",
                                        "FDSize", "Uid",        "Gid",     "Groups"};

std::string status_lines(int folder) {
  std::istringstream all(read_proc(folder, "status"));
  std::string kept;
  for (std::string line; std::getline(all, line);) {
    for (const char* wanted : kStatusLines) {
      if (line.starts_with(wanted) && !line.starts_with("SigQ")) kept += line + "\n";
    }
  }
  return kept;
}

}  // namespace

std::string kernel_state(int folder) {
  std::string state = status_lines(folder);
  for (const char* file : {"maps", "limits", "fdinfo/0", "fdinfo/1", "fdinfo/2", "fdinfo/3"}) {
    state += read_proc(folder, file);
  }
  return state;
}

}  // namespace azr
