#include "kernel_state.h"

#include <sstream>

#include "writable_memory.h"

namespace azr {
namespace {

constexpr const char* kStatusLines[] = {"Umask",  "State",      "Threads", "Sig",    "Shd",
                                        "Cap",    "NoNewPrivs", "Seccomp", "VmSize", "VmLck",
                                        "FDSize", "Uid",        "Gid",     "Groups"};

constexpr int kDescriptors = 64;  // a program's limit

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
  for (const char* file : {"maps", "limits", "timers"}) state += read_proc(folder, file);
  for (int fd = 0; fd < kDescriptors; ++fd) {
    const std::string file = "fdinfo/" + std::to_string(fd);
    state += file + "\n" + read_proc(folder, file.c_str());
  }
  return state;
}

}  // namespace azr
