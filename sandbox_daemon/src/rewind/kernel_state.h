// What the kernel keeps of a process that a program could have changed, as /proc tells it.
#pragma once

#include <string>

namespace azr {

// Of the process whose folder in /proc is `folder`: mappings, limits, descriptors with their
// offsets and flags, signals, capabilities, threads and children, timers, name, nice value,
// scheduling, processors it may use, personality, folders, namespaces. Not what grows as it runs:
// times, page faults, memory in use, context switches (proc(5)).
std::string kernel_state(int folder);

}  // namespace azr
