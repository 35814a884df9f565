// --check: what isolation this machine gives, layer by layer.
#pragma once

#include <string>

#include "layers.h"

namespace azr {

// Whether cgroups bound the memory and the processes of all programs together: what the kernel and
// the rights of this process would allow, and why they do not.
Layer probe_cgroup();

// One line per layer, on or off and why, and the level they add up to.
std::string check_report(const Layers& layers);

}  // namespace azr
