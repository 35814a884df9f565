// Landlock: a second, independent fence around the file system, which needs no privilege.
#pragma once

#include <string>
#include <vector>

#include "layers.h"

namespace azr {

// Confines this process and its children to reading `readable`, and to /dev/null. Needs
// no_new_privs.
Layer enter_landlock(const std::vector<std::string>& readable);

}  // namespace azr
