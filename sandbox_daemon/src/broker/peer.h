// Who is at the other end of a Unix socket, as the kernel has it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace azr {

// The group of that name or number. Throws StartError.
gid_t find_group(const std::string& name);

// Whether the peer of `socket` is our own user or root.
bool is_own_peer(int socket);

// Whether the peer of `socket` is our own user, root, or of `group`.
bool may_connect(int socket, std::optional<gid_t> group);

}  // namespace azr
