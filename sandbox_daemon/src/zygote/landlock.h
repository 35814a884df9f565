// Landlock: a second, independent fence around the file system, which needs no privilege.
#pragma once

#include <string>
#include <vector>

#include "layers.h"

namespace azr {

// Whether the kernel has it: on, with the version, or why not.
Layer probe_landlock();

// Confines this process and its children to reading `readable`, to /dev/null, and to everything
// below `writable`, if it is not null. Needs no_new_privs.
Layer enter_landlock(const std::vector<std::string>& readable, const char* writable = nullptr);

}  // namespace azr
