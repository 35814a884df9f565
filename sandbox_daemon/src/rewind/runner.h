// The process that runs programs one after another and is put back in between: a fork of a locked
// zygote that moves its memory into a file its supervisor sees too, takes a filter that allows
// nothing which would leave a trace in the kernel, and stops before each program.
#pragma once

#include <cstddef>
#include <span>

#include "channel.h"
#include "region.h"
#include "seccomp.h"
#include "writable_memory.h"

namespace azr {

struct RunnerSetup {
  std::span<const WritableMapping> mappings;
  int memory_file;
  int proc;  // the folder /proc
  const Region* region;
  SyscallFilter* filter;
  std::span<char> stack;  // in one of the mappings
  int supervisor;         // a socket: takes descriptors of pagemap, write tracker and /proc/self
  bool inspectable;       // for a checker: the supervisor may look into /proc/PID
};

// Where a supervisor writes the next job, in the runner's memory; TaskHeader{} between programs.
TaskHeader& runner_job();

// What the child of fork does.
[[noreturn]] void become_runner(const RunnerSetup& setup);

}  // namespace azr
