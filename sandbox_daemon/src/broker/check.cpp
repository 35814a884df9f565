#include "check.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

#include "error.h"

namespace azr {
namespace {

constexpr const char* kMount = "/sys/fs/cgroup";

// Our place in the hierarchy of `controller`; empty name: the unified one.
std::optional<std::string> own_group(const std::string& controller) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names.find("," + controller + ",") != names.npos) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

bool lists(const std::string& path, const std::string& word) {
  std::ifstream file(path);
  return std::find(std::istream_iterator<std::string>(file), {}, word) !=
         std::istream_iterator<std::string>();
}

// Why `controller` could not hold programs, or nothing.
std::string obstacle(const std::string& controller) {
  std::string folder = std::string(kMount) + "/" + controller;
  auto group = own_group(controller);
  if (!group) {  // the unified hierarchy, where it is the only one
    folder = kMount;
    group = own_group("");
    const std::string controllers = folder + group.value_or("") + "/cgroup.controllers";
    if (!group || !lists(controllers, controller)) return "no " + controller + " controller here";
  }
  folder += *group;
  if (::access(folder.c_str(), W_OK) == 0) return "";
  return "no groups can be made in " + folder + " (" + errno_text() + ")";
}

}  // namespace

Layer probe_cgroup() {
  for (const char* controller : {"memory", "pids"}) {
    const std::string fault = obstacle(controller);
    if (!fault.empty()) return {"cgroup", false, fault};
  }
  return {"cgroup", false, "not used; memory and pids groups could be made"};
}

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
