// Parallel loops on OpenMP's threads, which are torch's: both ask the loader for libgomp.so.1 (or
// for what is preloaded in its place) and get one runtime. Threads of our own would meet torch's on
// the same cores: after each operation of torch's these spin for milliseconds, which took a fifth
// of the time of linear_policy_loss (SmolLM2-135M's head, two cores).
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace azr {

// Calls work(worker) on `threads` threads (or fewer, where OpenMP has no more to give), the
// caller's included; workers count from 0.
template <class Work>
void on_threads(std::int64_t threads, const Work& work) {
#pragma omp parallel num_threads(static_cast<int>(threads))
  work(std::int64_t{omp_get_thread_num()});
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
