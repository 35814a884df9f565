// The embedded CPython: started isolated, checked to be the one this build was made for, warmed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace azr {

struct InterpreterConfig {
  uint32_t hash_seed = 0;
  std::string preload;    // comma-separated module names
  std::string path = "";  // folders to import from after the standard library, separated by colons
};

// Starts the interpreter for the life of the process. Throws StartError.
void start_interpreter(const InterpreterConfig& config);

// The directories it imports from, for the read-only root.
std::vector<std::string> import_paths();

}  // namespace azr
