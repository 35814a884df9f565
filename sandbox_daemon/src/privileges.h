// Giving up user, groups and capabilities, for good.
#pragma once

#include <sys/types.h>

#include <string>

#include "layers.h"

namespace azr {

// Becomes user and group `id`, which nothing else uses. `probe`: a file that must stay readable.
Layer drop_user(uid_t id, const std::string& probe);

// Empties every capability set, the bounding set included, and bars the way back.
Layer drop_capabilities();

Layer set_no_new_privs();

}  // namespace azr
