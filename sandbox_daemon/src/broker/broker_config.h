// What an operator decides about a daemon; settings.h reads it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/job_rules.h"
#include "broker/pools.h"
#include "shared/layers.h"
#include "shared/options.h"

namespace azr {

// What clients may pile up.
struct ClientLimits {
  uint64_t max_clients = 256;
  uint64_t max_pending = 256;          // commands of one client without their reply
  uint64_t max_unread = 8ull << 20;    // bytes of replies that one client has not read
  uint64_t max_queued = 256ull << 20;  // bytes of the jobs of all clients, until they are answered
  uint64_t patience_ms = 60'000;       // for all of a long request to come
};

struct BrokerConfig {
  std::string socket;
  std::string group;  // whose members may connect, by name or number; empty: nobody else
  std::string zygote_executable;
  PoolConfig pool{std::string(kDefaultPool), 2, kDefaultPreload, Tier::kFork};
  size_t rewind = 0;           // of each pool: zygotes that put one process back after each program
  bool paranoid = false;       // they compare everything after every program: for tests
  size_t jail = 0;             // zygotes of the default pool whose programs run in a jail
  bool jail_optional = false;  // serve without them where there can be none
  std::string pools;           // the others, as they were spelled
  std::string path;            // folders that programs import from besides, separated by colons
  Level require = Level::kSeccomp;
  JobRules rules;
  ClientLimits clients;
  std::string metrics;            // where to write them; empty: nowhere
  std::optional<pid_t> end_with;  // the process that started this one

  // The default one, of jobs that name none, first.
  std::vector<PoolConfig> all_pools() const {
    std::vector<PoolConfig> all = parse_pools(pools);
    all.insert(all.begin(), pool);
    for (size_t i = 0, forking = all.size(); rewind > 0 && i < forking; ++i) {
      all.push_back({all[i].name, rewind, all[i].preload, Tier::kRewind});
    }
    if (jail > 0) all.push_back({pool.name, jail, pool.preload, Tier::kJail});
    return all;
  }
};

}  // namespace azr
