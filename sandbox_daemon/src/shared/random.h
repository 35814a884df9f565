#pragma once

#include <sys/random.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <type_traits>

namespace azr {

// Every bit drawn by the kernel; waits, just after boot, until it can (getrandom(2)). Ends the
// process where the kernel refuses: a number that is not random must not pass for one.
inline void draw_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t drawn = ::getrandom(bytes.data(), bytes.size(), 0);
    if (drawn > 0) {
      bytes = bytes.subspan(static_cast<size_t>(drawn));
    } else if (errno != EINTR) {
      std::abort();
    }
  }
}

template <class Value>
Value random_value() {
  static_assert(std::is_trivially_copyable_v<Value>);
  Value value{};
  draw_random(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace azr
