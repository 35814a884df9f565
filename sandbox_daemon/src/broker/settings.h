// The options that have a value: one table for the command line, the file of --config, CONFIG GET,
// --help, and what SIGHUP can change.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/broker_config.h"

namespace azr {

struct Setting {
  std::string_view name;   // on the command line after two dashes
  std::string_view value;  // what stands for the value in --help
  std::string_view help;
  bool live;  // SIGHUP changes it in a daemon that serves
  // Leaves the value as it is where `options` has none. Throws StartError.
  void (*read)(BrokerConfig&, const Options& options, const std::string& name);
  std::string (*show)(const BrokerConfig&);
};

std::span<const Setting> settings();
// Their names with the dashes, and --config.
std::set<std::string> valued_options();

// Defaults, then the file that `command_line` names, then `command_line`. Throws StartError.
BrokerConfig load_config(const Options& command_line);

// Takes over what can change while serving. Returns a line for each setting that differs, those
// that need a restart included.
std::vector<std::string> adopt(BrokerConfig& current, const BrokerConfig& next);

}  // namespace azr
