#include "coverage.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace azr::fuzz {
namespace {

constexpr size_t kPairs = 1u << 14;

std::array<uint8_t, kPairs> g_run;   // times passed in this run, up to 255
std::array<uint8_t, kPairs> g_seen;  // orders of magnitude of these in any run, a bit each
uintptr_t g_previous = 0;

// 1, 2, 3, 4-7, 8-15, 16-31, 32-127, more: a loop taken twice is news, taken 21 times is not.
uint8_t magnitude(uint8_t times) {
  constexpr uint8_t kLeast[] = {1, 2, 3, 4, 8, 16, 32, 128};
  const auto above = std::ranges::upper_bound(kLeast, times);
  return static_cast<uint8_t>(1u << (above - std::begin(kLeast) - 1));
}

}  // namespace

void forget_run() {
  g_run.fill(0);
  g_previous = 0;
}

bool something_new() {
  bool found = false;
  for (size_t i = 0; i < kPairs; ++i) {
    if (g_run[i] == 0) continue;
    const uint8_t bit = magnitude(g_run[i]);
    found |= (g_seen[i] & bit) == 0;
    g_seen[i] |= bit;
  }
  return found;
}

size_t blocks_seen() {
  return static_cast<size_t>(std::ranges::count_if(g_seen, [](uint8_t bits) { return bits != 0; }));
}

}  // namespace azr::fuzz

// The compiler calls this at the start of every basic block of the parsers.
extern "C" void __sanitizer_cov_trace_pc() {
  using namespace azr::fuzz;
  const auto here = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  uint8_t& times = g_run[(here ^ g_previous) % kPairs];
  if (times < 255) ++times;
  g_previous = here >> 1;
}
