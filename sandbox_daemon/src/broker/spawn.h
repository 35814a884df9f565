// Starts azr-zygote in new namespaces, as many as the kernel grants.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "shared/layers.h"
#include "shared/tier.h"
#include "shared/unique_fd.h"

namespace azr {

struct SpawnConfig {
  std::string executable;
  std::string preload;
  std::string path;  // more folders to import from, separated by colons
  Tier tier = Tier::kFork;
  uint32_t hash_seed = 0;
  unsigned slot = 0;             // gives each zygote a user of its own where that is possible
  unsigned core = 0;             // of a rewind zygote
  bool paranoid = false;         // rewind zygotes compare everything after every program
  Level require = Level::kNone;  // a zygote that reports less is not used
};

struct Spawned {
  pid_t pid = 0;
  UniqueFd pidfd;
  UniqueFd control;  // our end, non-blocking
};

// What a zygote gets of the broker's.
struct SharedFds {
  int region, out, err;
};

// Throws StartError.
Spawned spawn_zygote(const SpawnConfig& config, const SharedFds& shared);

}  // namespace azr
