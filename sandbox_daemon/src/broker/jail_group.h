// The control group of a zygote whose programs run in jails, where the daemon may make one: it
// bounds what all processes of a program use together.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "broker/cgroup.h"
#include "shared/layers.h"
#include "shared/program_limits.h"

namespace azr {

class JailGroup {
 public:
  // For a zygote that has made no process yet: those are born into its group.
  explicit JailGroup(pid_t zygote);

  Layer layer() const;
  // The zygote is warm: what it uses now is no program's.
  void note_zygote();
  // For the next program: its memory, and that of its folder. False when it could not be set.
  bool limit(const Limits& limits);
  // Whether the kernel killed a process for memory since the last time.
  bool new_memory_kills() { return group_ && group_->new_memory_kills(); }

 private:
  std::string why_not_;  // there is none
  std::unique_ptr<ControlGroup> group_;
  uint64_t memory_before_ = 0;
};

}  // namespace azr
