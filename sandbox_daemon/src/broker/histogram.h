// Counts of durations in fixed buckets, for INFO and the metrics file. Adding one allocates
// nothing.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace azr {

// Six bounds to a decade, from 100 us to 1000 s, in microseconds: a quantile read from them is
// within half of the truth at worst.
inline constexpr auto kHistogramBounds = [] {
  std::array<uint64_t, 43> bounds{};
  size_t at = 0;
  for (uint64_t tenth = 10; at < bounds.size(); tenth *= 10) {
    for (const uint64_t tenths : {10, 15, 20, 30, 50, 70}) {
      if (at < bounds.size()) bounds[at++] = tenth * tenths;
    }
  }
  return bounds;
}();

class Histogram {
 public:
  // One up to each bound, the bound included, and one for what is longer.
  static constexpr size_t kBuckets = kHistogramBounds.size() + 1;

  void add(std::chrono::nanoseconds duration);

  uint64_t count() const { return count_; }
  uint64_t sum_us() const { return sum_us_; }
  uint64_t max_us() const { return max_us_; }
  uint64_t in_bucket(size_t bucket) const { return buckets_[bucket]; }
  // The duration that `share` of all are not longer than, in microseconds, as near as the buckets
  // tell; 0 when there are none.
  uint64_t quantile_us(double share) const;

 private:
  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0, sum_us_ = 0, max_us_ = 0;
};

}  // namespace azr
