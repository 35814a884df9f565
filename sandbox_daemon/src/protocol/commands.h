// The table of commands a client may send.
#pragma once

#include "broker.h"

namespace azr {

// Answers `command`, now or when its job ends.
void run_command(Broker& broker, Client& client, const Command& command);

}  // namespace azr
