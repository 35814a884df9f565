// What the kernel keeps of a process that a program could have changed, as /proc tells it.
#pragma once

#include <string>

namespace azr {

// Mappings, limits, descriptors with their offsets and flags, signals, capabilities and threads of
// the process whose folder in /proc is `folder`.
std::string kernel_state(int folder);

}  // namespace azr
