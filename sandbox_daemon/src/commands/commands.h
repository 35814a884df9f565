// The table of commands a client may send.
#pragma once

#include "broker/broker.h"

namespace azr {

// For a broker's constructor.
CommandSet commands();

}  // namespace azr
