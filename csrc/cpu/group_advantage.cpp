// Sequences sorted by group, then two passes in fp64 over each group: mean, and variance about it.
#include "cpu/group_advantage.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace azr {
namespace {

// A sequence while its group is worked on.
struct Member {
  std::size_t sequence;
  double weight;
  double advantage;
};

// Members in order of sequences, so that sums do not depend on how a sort treats equal keys.
std::vector<std::size_t> sorted_by_group(std::span<const std::int64_t> groups, bool one_group) {
  std::vector<std::size_t> order(groups.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!one_group) {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return groups[a] < groups[b]; });
  }
  return order;
}

template <class Value>
double sum(std::span<const Member> members, Value value) {
  return std::accumulate(members.begin(), members.end(), 0.0,
                         [&](double total, const Member& m) { return total + value(m); });
}

void subtract_mean_of_others(std::span<Member> members) {
  const double total = sum(members, [](const Member& m) { return m.advantage; });
  const double others = std::max<double>(static_cast<double>(members.size()) - 1, 1);
  for (Member& m : members) m.advantage -= (total - m.advantage) / others;
}

void subtract_mean(std::span<Member> members, double base, bool scaled) {
  const double weight = std::max(sum(members, [](const Member& m) { return m.weight; }), 1.0);
  const double mean = sum(members, [](const Member& m) { return m.weight * m.advantage; }) / weight;
  for (Member& m : members) m.advantage -= mean;
  if (!scaled) return;
  const double variance =
      sum(members, [](const Member& m) { return m.weight * m.advantage * m.advantage; }) / weight;
  const double deviation = std::sqrt(variance);
  const bool spread = deviation > 1e-12 * std::max(std::abs(base + mean), 1.0);
  for (Member& m : members) m.advantage = spread ? m.advantage / deviation : 0;
}

}  // namespace

void group_advantage(std::span<const double> rewards, std::span<const std::int64_t> groups,
                     std::span<const std::int64_t> lengths, Arithmetic arithmetic,
                     float* advantages) {
  const std::vector<std::size_t> order = sorted_by_group(groups, arithmetic.one_group);
  std::vector<float> of_sequence(rewards.size());
  std::vector<Member> members;
  for (std::size_t begin = 0; begin < order.size(); begin += members.size()) {
    members.clear();
    // Relative to the group's lowest: equal rewards and groups of one are exactly 0, large rewards
    // lose nothing.
    double lowest = rewards[order[begin]];
    for (std::size_t i = begin; i < order.size(); ++i) {
      const std::size_t s = order[i];
      if (!arithmetic.one_group && groups[s] != groups[order[begin]]) break;
      lowest = std::min(lowest, rewards[s]);
      members.push_back(
          {s, arithmetic.token_weighted ? static_cast<double>(lengths[s]) : 1.0, rewards[s]});
    }
    for (Member& m : members) m.advantage -= lowest;
    arithmetic.leave_one_out ? subtract_mean_of_others(members)
                             : subtract_mean(members, lowest, arithmetic.scaled);
    for (const Member& m : members) of_sequence[m.sequence] = static_cast<float>(m.advantage);
  }
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    advantages = std::fill_n(advantages, lengths[s], of_sequence[s]);
  }
}

}  // namespace azr
