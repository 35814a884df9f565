// Small damage to an input, with parts of others.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace azr::fuzz {

using Random = std::mt19937_64;

inline constexpr size_t kMaxInput = 4096;

std::string mutate(std::string input, const std::vector<std::string>& others, Random& random);

}  // namespace azr::fuzz
