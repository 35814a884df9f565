#include "options.h"

#include <charconv>

#include "error.h"

namespace azr {

bool parse_number(std::string_view text, uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

Options::Options(int argc, char** argv, const std::set<std::string>& flags,
                 const std::set<std::string>& valued) {
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    const auto equals = name.find('=');
    std::string value;
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (flags.contains(name) && equals == std::string::npos) {
      values_[name] = "";
    } else if (!valued.contains(name)) {
      throw StartError("unknown option '" + name + "': see --help");
    } else if (equals != std::string::npos) {
      values_[name] = value;
    } else if (++i < argc) {
      values_[name] = argv[i];
    } else {
      throw StartError("option " + name + " needs a value: see --help");
    }
  }
}

std::string Options::text(const std::string& name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

uint64_t Options::number(const std::string& name, uint64_t fallback, uint64_t low,
                         uint64_t high) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return fallback;
  uint64_t value = 0;
  if (!parse_number(found->second, value) || value < low || value > high) {
    throw StartError("option " + name + " must be a number from " + std::to_string(low) + " to " +
                     std::to_string(high) + ", not '" + found->second + "'");
  }
  return value;
}

}  // namespace azr
