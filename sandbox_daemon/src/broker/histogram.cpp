#include "broker/histogram.h"

#include <algorithm>
#include <cmath>

namespace azr {

void Histogram::add(std::chrono::nanoseconds duration) {
  const auto us = static_cast<uint64_t>(std::max<int64_t>(0, duration.count() / 1'000));
  const auto bound = std::ranges::lower_bound(kHistogramBounds, us);
  ++buckets_[static_cast<size_t>(bound - kHistogramBounds.begin())];
  ++count_;
  sum_us_ += us;
  max_us_ = std::max(max_us_, us);
}

// Takes the durations of a bucket as evenly spread over it.
uint64_t Histogram::quantile_us(double share) const {
  const double rank = std::ceil(share * static_cast<double>(count_));
  uint64_t before = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    if (buckets_[i] == 0 || static_cast<double>(before + buckets_[i]) < rank) {
      before += buckets_[i];
      continue;
    }
    const uint64_t low = i == 0 ? 0 : kHistogramBounds[i - 1];
    const uint64_t high =
        i < kHistogramBounds.size() ? std::min(kHistogramBounds[i], max_us_) : max_us_;
    const double part = (rank - static_cast<double>(before)) / static_cast<double>(buckets_[i]);
    return low + static_cast<uint64_t>(part * static_cast<double>(high - low));
  }
  return max_us_;
}

}  // namespace azr
