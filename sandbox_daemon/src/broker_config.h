// What an operator decides about a daemon; settings.h reads it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "layers.h"
#include "options.h"
#include "program_limits.h"

namespace azr {

// What clients may pile up.
struct ClientLimits {
  uint64_t max_clients = 256;
  uint64_t max_pending = 256;          // commands of one client without their reply
  uint64_t max_unread = 8ull << 20;    // bytes of replies that one client has not read
  uint64_t max_queued = 256ull << 20;  // bytes of the jobs of all clients, until they are answered
};

struct BrokerConfig {
  std::string socket;
  std::string group;  // whose members may connect, by name or number; empty: nobody else
  std::string zygote_executable;
  std::string preload = kDefaultPreload;
  size_t zygotes = 2;
  Level require = Level::kSeccomp;
  Limits limits;  // of jobs that name none
  ClientLimits clients;
  std::string metrics;            // where to write them; empty: nowhere
  std::optional<pid_t> end_with;  // the process that started this one
};

}  // namespace azr
