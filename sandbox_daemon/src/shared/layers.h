// The layers of isolation, each on or off with the reason, and the level they add up to.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace azr {

struct Layer {
  std::string name;
  bool on = false;
  std::string why;  // detail when on, the reason when off
};

using Layers = std::vector<Layer>;

enum class Level { kNone, kSeccomp, kNamespaces, kFull };

bool is_on(const Layers& layers, std::string_view name);

std::string_view level_name(Level level);
std::optional<Level> parse_level(std::string_view name);

// The strongest level whose layers are all on.
Level level_of(const Layers& layers);
// The first layer that keeps `layers` below `wanted`, or null.
const Layer* missing_layer(const Layers& layers, Level wanted);

// Why `layers` are below `wanted` and what to do about it; empty when they are not.
std::string shortfall(const Layers& layers, Level wanted);
// Each layer as the weakest of both has it.
Layers weaker_of(Layers a, const Layers& b);

std::string serialize_layers(const Layers& layers);
Layers parse_layers(std::string_view text);

}  // namespace azr
