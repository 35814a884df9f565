// The child of a zygote: takes its limits and filter, runs one program, and ends without
// finalizing.
#pragma once

#include <string>
#include <vector>

#include "channel.h"
#include "region.h"
#include "seccomp.h"
#include "unique_fd.h"

namespace azr {

struct Jail {
  std::vector<std::string> readable;
  bool landlock;
};

struct ChildSetup {
  const TaskHeader* job;
  const Region* region;
  SyscallFilter* filter;  // to install; null: inherited
  uint64_t base_bytes;    // address space of the zygote
  int stdin_fd;           // -1: /dev/null
  const Jail* jail;       // to enter; null: none
};

// Makes `stdin_fd` (-1: /dev/null) and the output pipes the standard streams and closes all others.
// The control socket is among those: a program must not run beside one left open.
bool take_descriptors(int stdin_fd);

// A zygote blocks what it waits for.
void unblock_signals();

// What the child of fork does. Call after PyOS_BeforeFork.
[[noreturn]] void run_child(const ChildSetup& setup);

}  // namespace azr
