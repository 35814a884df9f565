// How a program is kept apart: what it may do, and what that costs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace azr {

enum class Tier : uint8_t {
  kRewind,  // a process that is put back after each program: no system call that changes anything
  kFork,    // a child of a locked zygote: no processes, no threads, no files
  kJail,    // a child with pid, mount and ipc namespaces of its own: all of these, within limits
};

constexpr std::string_view tier_name(Tier tier) {
  constexpr std::string_view kNames[] = {"rewind", "fork", "jail"};
  return kNames[static_cast<int>(tier)];
}

constexpr std::optional<Tier> parse_tier(std::string_view name) {
  for (const Tier tier : {Tier::kRewind, Tier::kFork, Tier::kJail}) {
    if (name == tier_name(tier)) return tier;
  }
  return std::nullopt;
}

}  // namespace azr
