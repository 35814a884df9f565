#include "broker/pools.h"

#include <algorithm>

#include "shared/error.h"
#include "shared/options.h"

namespace azr {
namespace {

PoolConfig parse_pool(std::string_view word) {
  const auto equals = word.find('=');
  const auto colon = word.find(':', std::min(equals, word.size()));
  uint64_t count = 0;
  if (equals == 0 || equals == word.npos ||
      !parse_number(word.substr(equals + 1, colon - equals - 1), count) || count < 1 ||
      count > kMaxZygotes) {
    throw StartError("option --pools: '" + std::string(word) +
                     "' is not NAME=N:MODULE,..., such as numpy=2:numpy");
  }
  const auto modules = colon == word.npos ? "" : word.substr(colon + 1);
  return {std::string(word.substr(0, equals)), count, std::string(modules), Tier::kFork};
}

}  // namespace

std::vector<PoolConfig> parse_pools(std::string_view text) {
  std::vector<PoolConfig> pools;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty()) continue;
    pools.push_back(parse_pool(word));
    const std::string& name = pools.back().name;
    if (name == kDefaultPool || find_pool(std::span(pools).first(pools.size() - 1), name)) {
      throw StartError("option --pools: there are two pools '" + name + "': rename one");
    }
  }
  return pools;
}

std::optional<size_t> find_pool(std::span<const PoolConfig> pools, std::string_view name,
                                Tier tier) {
  const auto found = std::ranges::find_if(pools, [&](const PoolConfig& pool) {
    return pool.is_there && pool.name == name && pool.tier == tier;
  });
  if (found == pools.end()) return std::nullopt;
  return static_cast<size_t>(found - pools.begin());
}

std::string pool_names(std::span<const PoolConfig> pools) {
  std::string text;
  for (const auto& pool : pools) {
    if (pool.tier == Tier::kFork) text += (text.empty() ? "" : ", ") + pool.name;
  }
  return text;
}

}  // namespace azr
