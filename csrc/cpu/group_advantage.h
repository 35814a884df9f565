// Advantages within groups of sequences; azr_fast/ops/group_advantage.py has the formulas.
#pragma once

#include <cstdint>
#include <span>

namespace azr {

// What an estimator does within a group.
struct Arithmetic {
  bool one_group;
  bool token_weighted;
  bool leave_one_out;
  bool scaled;
};

// One reward, group key and length per sequence. Writes each sequence's advantage once for each of
// its tokens, sequences one after the other: `advantages` holds as many as the lengths sum to.
void group_advantage(std::span<const double> rewards, std::span<const std::int64_t> groups,
                     std::span<const std::int64_t> lengths, Arithmetic arithmetic,
                     float* advantages);

}  // namespace azr
