// Static-free parallel loop: threads live for one call, which costs microseconds against the
// milliseconds of a chunk, and no pool of ours competes with torch's between calls.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace azr {

// Calls work(worker) on `threads` threads, the caller's included; workers count from 0.
template <class Work>
void on_threads(std::int64_t threads, const Work& work) {
  std::vector<std::jthread> others;
  for (std::int64_t worker = 1; worker < threads; ++worker) others.emplace_back(work, worker);
  work(0);
}

// Calls body(i) for every i below `count` that no other thread has taken, kBlock at a time.
template <std::int64_t kBlock, class Body>
void take_turns(std::atomic<std::int64_t>& next, std::int64_t count, const Body& body) {
  for (;;) {
    const std::int64_t begin = next.fetch_add(kBlock, std::memory_order_relaxed);
    if (begin >= count) return;
    for (std::int64_t i = begin; i < std::min(begin + kBlock, count); ++i) body(i);
  }
}

// Calls body(i) for every i in [0, count) on up to `threads` threads. The body must not throw and
// must treat the items independently: which thread takes which is not fixed.
template <class Body>
void parallel_for(std::int64_t count, int threads, const Body& body) {
  constexpr std::int64_t kBlock = 4;
  std::atomic<std::int64_t> next = 0;
  on_threads(std::min<std::int64_t>(threads, (count + kBlock - 1) / kBlock),
             [&](std::int64_t) { take_turns<kBlock>(next, count, body); });
}

}  // namespace azr
