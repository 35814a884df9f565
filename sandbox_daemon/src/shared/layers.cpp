#include "layers.h"

#include <algorithm>
#include <array>
#include <span>

namespace azr {
namespace {

constexpr std::array<std::string_view, 3> kSeccompLayers = {"no_new_privs", "rlimits", "seccomp"};
constexpr std::array<std::string_view, 8> kNamespaceLayers = {
    "user_ns", "mount_ns", "pid_ns", "net_ns", "ipc_ns", "uts_ns", "root", "capabilities"};
constexpr std::array<std::string_view, 1> kFullLayers = {"landlock"};

const Layer* first_off(const Layers& layers, std::span<const std::string_view> names) {
  static const Layer kAbsent{"absent", false, "not reported"};
  for (const auto name : names) {
    const auto found = std::ranges::find(layers, name, &Layer::name);
    if (found == layers.end()) return &kAbsent;
    if (!found->on) return &*found;
  }
  return nullptr;
}

}  // namespace

bool is_on(const Layers& layers, std::string_view name) {
  const auto found = std::ranges::find(layers, name, &Layer::name);
  return found != layers.end() && found->on;
}

std::string_view level_name(Level level) {
  static constexpr std::string_view kNames[] = {"none", "seccomp", "namespaces", "full"};
  return kNames[static_cast<int>(level)];
}

std::optional<Level> parse_level(std::string_view name) {
  for (const auto level : {Level::kSeccomp, Level::kNamespaces, Level::kFull}) {
    if (name == level_name(level)) return level;
  }
  return std::nullopt;
}

const Layer* missing_layer(const Layers& layers, Level wanted) {
  const Layer* off = nullptr;
  if (wanted >= Level::kSeccomp) off = first_off(layers, kSeccompLayers);
  if (off == nullptr && wanted >= Level::kNamespaces) off = first_off(layers, kNamespaceLayers);
  if (off == nullptr && wanted >= Level::kFull) off = first_off(layers, kFullLayers);
  return off;
}

Level level_of(const Layers& layers) {
  for (const auto level : {Level::kFull, Level::kNamespaces, Level::kSeccomp}) {
    if (missing_layer(layers, level) == nullptr) return level;
  }
  return Level::kNone;
}

std::string shortfall(const Layers& layers, Level wanted) {
  const Layer* off = missing_layer(layers, wanted);
  if (off == nullptr) return "";
  return "layer " + off->name + " is off (" + off->why + ") and --require " +
         std::string(level_name(wanted)) + " wants it: see --check, or ask for a lower level";
}

Layers weaker_of(Layers a, const Layers& b) {
  for (const Layer& layer : b) {
    const auto same = std::ranges::find(a, layer.name, &Layer::name);
    if (same == a.end()) {
      a.push_back(layer);
    } else if (!layer.on) {
      *same = layer;
    }
  }
  return a;
}

std::string serialize_layers(const Layers& layers) {
  std::string text;
  for (const auto& layer : layers) {
    text += layer.name + (layer.on ? "\ton\t" : "\toff\t") + layer.why + "\n";
  }
  return text;
}

Layers parse_layers(std::string_view text) {
  Layers layers;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto first = line.find('\t');
    const auto second = line.find('\t', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    layers.push_back({std::string(line.substr(0, first)),
                      line.substr(first + 1, second - first - 1) == "on",
                      std::string(line.substr(second + 1))});
  }
  return layers;
}

}  // namespace azr
