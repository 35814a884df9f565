// Landlock: a second, independent fence around the file system, which needs no privilege.
#pragma once

#include <string>
#include <vector>

#include "layers.h"

namespace azr {

// Whether the kernel has it: on, with the version, or why not.
Layer probe_landlock();

// Confines this process and its children to reading `readable`, to /dev/null, to everything below
// the folder `writable` of a jail and to its devices, if it is not null, and to reading files below
// the descriptor `proc`, if there is one. Needs no_new_privs.
Layer enter_landlock(const std::vector<std::string>& readable, const char* writable = nullptr,
                     int proc = -1);

}  // namespace azr
