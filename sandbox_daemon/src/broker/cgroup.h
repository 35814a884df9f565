// Control groups, version 1: what the processes of a jail use in sum. See cgroups(7).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace azr {

class ControlGroup {
 public:
  // A new group below the daemon's own, with process `pid` in it. Null, and `why`, where none can
  // be made.
  static std::unique_ptr<ControlGroup> make(pid_t pid, std::string& why);
  // Those that a killed daemon left.
  static void remove_stale();
  ~ControlGroup();  // its processes must be dead
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  // False and errno when the kernel refuses.
  bool limit_tasks(uint64_t count);
  bool limit_memory(uint64_t bytes);  // asks the kernel only when it changes
  uint64_t memory_used() const;       // bytes
  // Whether the kernel has killed some of its processes for want of memory since last asked.
  bool new_memory_kills();

 private:
  ControlGroup(std::string memory, std::string pids)
      : memory_(std::move(memory)), pids_(std::move(pids)) {}

  bool add(pid_t pid);
  uint64_t memory_kills() const;

  std::string memory_, pids_;  // folders
  uint64_t limit_ = 0, kills_ = 0;
};

}  // namespace azr
