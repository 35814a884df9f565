#pragma once

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <type_traits>

namespace azr {

// Every bit of a value drawn by the kernel; waits, just after boot, until it can (getrandom(2)).
// Ends the process where the kernel refuses: a number that is not random must not pass for one.
template <class Value>
Value random_value() {
  static_assert(std::is_trivially_copyable_v<Value>);
  static_assert(sizeof(Value) <= 256);  // more could be drawn in part
  Value value{};
  while (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
    if (errno != EINTR) std::abort();
  }
  return value;
}

}  // namespace azr
