#include "broker/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include "shared/error.h"
#include "shared/options.h"
#include "shared/unique_fd.h"

namespace azr {
namespace {

constexpr const char* kMount = "/sys/fs/cgroup";
constexpr std::string_view kPrefix = "azr-zygote-";

// The folder of our own group in the hierarchy of `controller`; empty where it has none.
std::string own_folder(const std::string& controller) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names.find("," + controller + ",") == names.npos) continue;
    return std::string(kMount) + "/" + controller + line.substr(second + 1);
  }
  return "";
}

bool write_value(const std::string& path, const std::string& value) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file &&
         ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

bool make_folder(const std::string& path) {
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

}  // namespace

std::unique_ptr<ControlGroup> ControlGroup::make(pid_t pid, std::string& why) {
  const std::string name = "/" + std::string(kPrefix) + std::to_string(pid);
  const std::string memory = own_folder("memory"), pids = own_folder("pids");
  if (memory.empty() || pids.empty()) {
    why = "no version 1 hierarchy of the controllers memory and pids here";
    return nullptr;
  }
  std::unique_ptr<ControlGroup> group(new ControlGroup(memory + name, pids + name));
  for (const std::string& folder : {group->memory_, group->pids_}) {
    if (make_folder(folder)) continue;
    why = "no group " + folder + " can be made (" + errno_text() + ")";
    return nullptr;
  }
  if (group->add(pid)) return group;
  why = "no process can be moved to " + group->memory_ + " (" + errno_text() + ")";
  return nullptr;
}

ControlGroup::~ControlGroup() {
  ::rmdir(memory_.c_str());
  ::rmdir(pids_.c_str());
}

bool ControlGroup::add(pid_t pid) {
  const std::string number = std::to_string(pid);
  return write_value(memory_ + "/cgroup.procs", number) &&
         write_value(pids_ + "/cgroup.procs", number);
}

bool ControlGroup::limit_tasks(uint64_t count) {
  return write_value(pids_ + "/pids.max", std::to_string(count));
}

bool ControlGroup::limit_memory(uint64_t bytes) {
  if (bytes == limit_) return true;
  limit_ = bytes;
  return write_value(memory_ + "/memory.limit_in_bytes", std::to_string(bytes));
}

uint64_t ControlGroup::memory_used() const {
  uint64_t bytes = 0;
  std::ifstream(memory_ + "/memory.usage_in_bytes") >> bytes;
  return bytes;
}

uint64_t ControlGroup::memory_kills() const {
  std::ifstream events(memory_ + "/memory.oom_control");
  uint64_t count = 0;
  for (std::string name; events >> name >> count;) {
    if (name == "oom_kill") return count;
  }
  return 0;
}

bool ControlGroup::new_memory_kills() {
  const uint64_t before = std::exchange(kills_, memory_kills());
  return kills_ > before;
}

void ControlGroup::remove_stale() {
  for (const char* controller : {"memory", "pids"}) {
    std::error_code fault;
    const std::filesystem::directory_iterator groups(own_folder(controller), fault);
    if (fault) continue;
    for (const auto& group : groups) {
      const std::string name = group.path().filename();
      uint64_t pid = 0;
      const bool ours = name.starts_with(kPrefix) && parse_number(name.substr(kPrefix.size()), pid);
      if (ours && ::kill(static_cast<pid_t>(pid), 0) != 0) ::rmdir(group.path().c_str());
    }
  }
}

}  // namespace azr
