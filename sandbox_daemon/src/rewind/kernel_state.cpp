#include "kernel_state.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <sstream>

#include "writable_memory.h"

namespace azr {
namespace {

// Of the file `status`: how much memory is in use, what the process's user has queued elsewhere,
// and how often it gave up its processor.
constexpr const char* kGrowing[] = {"VmPeak", "VmHWM", "VmRSS", "Rss",         "VmPTE",
                                    "VmSwap", "SigQ",  "volun", "nonvoluntary"};

// Of the file `stat`, counted from the word after the name: state, parent, group, session, terminal
// and its group; priority, nice value, threads, timer; start, and where text, stack, data, break,
// arguments and environment lie; real-time priority and policy; the signal of its end.
constexpr int kStatWords[] = {0,  1,  2,  3,  4,  5,  15, 16, 17, 18, 19, 22, 23,
                              24, 25, 35, 37, 38, 42, 43, 44, 45, 46, 47, 48};

constexpr const char* kFiles[] = {"maps",        "limits",        "timers",          "comm",
                                  "personality", "oom_score_adj", "coredump_filter", "cgroup",
                                  "uid_map",     "gid_map"};

constexpr const char* kLinks[] = {"cwd",    "root",   "exe",     "ns/cgroup", "ns/ipc", "ns/mnt",
                                  "ns/net", "ns/pid", "ns/time", "ns/user",   "ns/uts"};

constexpr int kDescriptors = 64;  // a program's limit

std::string status_lines(int folder) {
  std::istringstream all(read_proc(folder, "status"));
  std::string kept;
  for (std::string line; std::getline(all, line);) {
    const auto begins = [&line](const char* word) { return line.starts_with(word); };
    if (std::ranges::none_of(kGrowing, begins)) kept += line + "\n";
  }
  return kept;
}

std::string stat_words(int folder) {
  const std::string all = read_proc(folder, "stat");
  std::istringstream words(all.substr(std::min(all.rfind(')') + 1, all.size())));
  std::string kept, word;
  for (int number = 0; words >> word; ++number) {
    if (std::ranges::count(kStatWords, number) != 0) kept += word + " ";
  }
  return kept + "\n";
}

std::string link_target(int folder, const char* name) {
  char target[PATH_MAX];
  const ssize_t size = ::readlinkat(folder, name, target, sizeof target);
  return std::string(name) + " " + std::string(target, static_cast<size_t>(std::max(size, 0L))) +
         "\n";
}

}  // namespace

std::string kernel_state(int folder) {
  std::string state = status_lines(folder) + stat_words(folder);
  for (const char* file : kFiles) state += read_proc(folder, file);
  for (const char* link : kLinks) state += link_target(folder, link);
  for (int fd = 0; fd < kDescriptors; ++fd) {
    const std::string file = "fdinfo/" + std::to_string(fd);
    state += file + "\n" + read_proc(folder, file.c_str());
  }
  return state;
}

}  // namespace azr
