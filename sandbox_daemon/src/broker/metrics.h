// The daemon's state in Prometheus's text format, in a file that a collector reads.
#pragma once

#include <string>

namespace azr {

class Broker;

std::string metrics_text(const Broker& broker);

// Puts `text` in place of what `path` was, so that a reader sees the old one or the new one whole.
// Throws StartError.
void replace_file(const std::string& path, const std::string& text);

}  // namespace azr
