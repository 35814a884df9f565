// --check: what isolation this machine gives, layer by layer.
#pragma once

#include <string>

#include "shared/layers.h"

namespace azr {

// One line per layer, on or off and why, and the level they add up to.
std::string check_report(const Layers& layers);

}  // namespace azr
