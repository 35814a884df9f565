#include "shared/options.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "shared/error.h"

namespace azr {

bool parse_number(std::string_view text, uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

}  // namespace

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

Options Options::from_file(const std::string& path, const std::set<std::string>& valued) {
  std::ifstream file(path);
  if (!file) throw StartError("cannot open it (" + errno_text() + ")");
  Options options;
  size_t number = 1;
  for (std::string line; std::getline(file, line); ++number) {
    try {
      options.read_line(trimmed(line), valued);
    } catch (const StartError& error) {
      throw StartError("line " + std::to_string(number) + ": " + error.what());
    }
  }
  if (!file.eof()) throw StartError("cannot read it (" + errno_text() + ")");
  return options;
}

void Options::read_line(std::string_view line, const std::set<std::string>& valued) {
  if (line.empty() || line.front() == '#') return;
  const std::string_view word = line.substr(0, line.find_first_of(" \t"));
  const std::string name = "--" + std::string(word);
  if (!valued.contains(name)) {
    throw StartError("unknown option '" + std::string(word) +
                     "': the names are those of --help without the dashes");
  }
  const std::string_view value = trimmed(line.substr(word.size()));
  if (value.empty()) throw StartError("option " + std::string(word) + " needs a value");
  if (!values_.emplace(name, value).second) {
    throw StartError("option " + std::string(word) + " is there twice: remove one");
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
