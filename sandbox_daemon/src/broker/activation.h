// The service manager that may have started this process: sockets it passed, and what it is told.
// The protocols are those of sd_listen_fds(3) and sd_notify(3).
#pragma once

#include <string>
#include <string_view>

#include "shared/unique_fd.h"

namespace azr {

// The listening socket passed to this process (LISTEN_PID, LISTEN_FDS), or none. Only the first
// call finds one. Throws StartError when something else was passed.
UniqueFd passed_socket();

// Where `socket` is bound; an abstract name begins with @.
std::string bound_path(int socket);

// "READY=1" and the like, to NOTIFY_SOCKET; nothing where nobody listens.
void tell_manager(std::string_view state);
void tell_manager_reloading();

}  // namespace azr
