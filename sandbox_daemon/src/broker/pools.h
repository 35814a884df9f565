// Zygotes come in pools that have the same modules imported, so that heavy imports do not tax the
// forks of plain programs. A job names its pool.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/tier.h"

namespace azr {

inline constexpr size_t kMaxZygotes = 256;  // of a pool

struct PoolConfig {
  std::string name;
  size_t zygotes = 0;
  std::string preload;  // comma-separated modules
  Tier tier = Tier::kFork;
  bool is_there = true;  // some of its zygotes could be started
};

inline constexpr std::string_view kDefaultPool = "default";

// Of `NAME=N:A,B NAME=N:C`: named pools beside the default one. Throws StartError.
std::vector<PoolConfig> parse_pools(std::string_view text);

// Of those that are there.
std::optional<size_t> find_pool(std::span<const PoolConfig> pools, std::string_view name,
                                Tier tier = Tier::kFork);
// Of those that fork.
std::string pool_names(std::span<const PoolConfig> pools);

}  // namespace azr
