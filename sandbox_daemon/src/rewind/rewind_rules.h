// Which system calls the two processes of a rewind zygote may make. All others stop a runner, and
// fail in its supervisor.
#pragma once

#include <sys/syscall.h>

#include <vector>

#include "seccomp.h"

namespace azr {

// A call that no kernel has: a runner's word that it is done. It stops there for its supervisor.
inline constexpr long kStopCall = SYS_getpmsg;

// What leaves no trace in the kernel.
std::vector<SyscallRule> runner_rules();

// What it takes to keep runners, and to become one: a runner is under both filters.
std::vector<SyscallRule> supervisor_rules();

}  // namespace azr
