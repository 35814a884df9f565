#include "broker/check.h"

namespace azr {

std::string check_report(const Layers& layers) {
  std::string text;
  for (const auto& layer : layers) {
    std::string name = layer.name;
    name.resize(14, ' ');
    text += name + (layer.on ? "on   " : "off  ") + layer.why + "\n";
  }
  return text + "level         " + std::string(level_name(level_of(layers))) + "\n";
}

}  // namespace azr
