// Static-free parallel loop: threads live for one call, which costs microseconds against the
// milliseconds of a chunk, and no pool of ours competes with torch's between calls.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace azr {

// Calls body(i, worker) for every i in [0, count) on up to `threads` threads, the caller's
// included; each takes kBlock items at a time and has its own number below `threads`. The body must
// not throw and must treat the items independently: which thread takes which is not fixed.
template <std::int64_t kBlock = 4, class Body>
void parallel_for(std::int64_t count, int threads, const Body& body) {
  std::atomic<std::int64_t> next = 0;
  const auto work = [&](std::int64_t worker) {
    for (;;) {
      const std::int64_t begin = next.fetch_add(kBlock, std::memory_order_relaxed);
      if (begin >= count) return;
      for (std::int64_t i = begin; i < std::min(begin + kBlock, count); ++i) body(i, worker);
    }
  };
  const std::int64_t helpers = std::min<std::int64_t>(threads, (count + kBlock - 1) / kBlock) - 1;
  std::vector<std::jthread> others;
  for (std::int64_t i = 0; i < helpers; ++i) others.emplace_back(work, i + 1);
  work(0);
}

}  // namespace azr
