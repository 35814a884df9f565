// The command line of both executables: `--name value` pairs and flags, refused by name when
// unknown; and the same pairs from a file.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace azr {

class Options {
 public:
  // Throws StartError naming an unknown option or a missing value.
  Options(int argc, char** argv, const std::set<std::string>& flags,
          const std::set<std::string>& valued);

  // From a file of `name value` lines, the names without their dashes; # begins a comment line.
  // Throws StartError naming the line.
  static Options from_file(const std::string& path, const std::set<std::string>& valued);

  bool has(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name, const std::string& fallback = "") const;
  // Throws StartError when the value is no whole number in [low, high].
  uint64_t number(const std::string& name, uint64_t fallback, uint64_t low, uint64_t high) const;

 private:
  Options() = default;
  void read_line(std::string_view line, const std::set<std::string>& valued);

  std::map<std::string, std::string> values_;
};

// A decimal number with nothing around it, or false.
bool parse_number(std::string_view text, uint64_t& value);

inline constexpr const char* kDefaultPreload =
    "math,cmath,itertools,collections,collections.abc,functools,re,string,heapq,bisect,json,random,"
    "copy,operator,typing,dataclasses,statistics,fractions,decimal,enum,abc,contextlib,datetime,"
    "textwrap,numbers";

}  // namespace azr
