// Faults a person can act on: one line that names what failed and the remedy.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace azr {

class StartError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline std::string errno_text(int number = errno) { return std::strerror(number); }

}  // namespace azr
