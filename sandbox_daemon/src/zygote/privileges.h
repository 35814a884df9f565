// Giving up user, groups and capabilities, for good.
#pragma once

#include <sys/types.h>

#include <string>

#include "layers.h"

namespace azr {

// Becomes user and group `id`, which nothing else uses. `probe`: a file that must stay readable.
Layer drop_user(uid_t id, const std::string& probe);

// Empties the bounding set and bars the ways back. Before drop_user: it takes CAP_SETPCAP, which a
// change of user takes away.
void drop_bounding_set();

// Empties the other sets and tells whether every one is empty, the bounding set included.
Layer drop_capabilities();

// Empties the sets; false when one is not empty then.
bool empty_capabilities();

// Keeps CAP_SYS_ADMIN, of this process's own user namespace, and nothing else.
bool keep_mount_capability();

// No core dumps, which a handler outside could be given, and no access for the same user's others.
// False when that failed.
bool hide_process();

Layer set_no_new_privs();

}  // namespace azr
