// INFO: the daemon's state as `name:value` lines in sections.
#pragma once

#include <string>
#include <string_view>

namespace azr {

class Broker;

// Every section, or the one named (in any case); empty for an unknown one.
std::string info_text(const Broker& broker, std::string_view section);

}  // namespace azr
