// Static-free parallel loop: threads live for one call, which costs microseconds against the
// milliseconds of a chunk, and no pool of ours competes with torch's between calls.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace azr {

// Calls body(i) for every i in [0, count) on `threads` threads, the caller's included. The body
// must not throw and must treat the items independently: which thread takes which is not fixed.
template <class Body>
void parallel_for(std::int64_t count, int threads, const Body& body) {
  constexpr std::int64_t kBlock = 4;  // items a thread takes at a time
  std::atomic<std::int64_t> next = 0;
  const auto work = [&] {
    for (;;) {
      const std::int64_t begin = next.fetch_add(kBlock, std::memory_order_relaxed);
      if (begin >= count) return;
      for (std::int64_t i = begin; i < std::min(begin + kBlock, count); ++i) body(i);
    }
  };
  const std::int64_t helpers = std::min<std::int64_t>(threads, (count + kBlock - 1) / kBlock) - 1;
  std::vector<std::jthread> others;
  for (std::int64_t i = 0; i < helpers; ++i) others.emplace_back(work);
  work();
}

}  // namespace azr
