#include "random_heap.h"

#include <Python.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <vector>

#include "python_pools.h"
#include "random.h"

namespace azr {
namespace {

constexpr size_t kPoolsOfEach = 2;  // sizes; more would be more memory to look at after a program
constexpr uint32_t kMostTaken = 1 << 15;  // blocks of 16 bytes that each zygote begins with
constexpr uintptr_t kPage = 4096;

using Blocks = std::vector<void*>;
using Engine = std::mt19937_64;

// All that a fresh pool holds.
Blocks take_pool(size_t size) {
  Blocks blocks((kPoolBytes - kPoolHeader) / size);
  for (void*& block : blocks) block = PyObject_Malloc(size);
  return blocks;
}

// The last one that is freed is given first: those of one page before those of the next, so that a
// program writes to no more pages than it must. Some stay taken, since a pool that is all free
// loses its order, and for what follows to be moved.
void release(Blocks blocks, Engine& random) {
  std::ranges::shuffle(blocks, random);
  blocks.resize(blocks.size() - 1 - random() % (blocks.size() / 8 + 1));
  const auto page = [](void* block) { return reinterpret_cast<uintptr_t>(block) / kPage; };
  std::ranges::stable_sort(blocks, std::ranges::greater(), page);
  for (void* block : blocks) PyObject_Free(block);
}

PyMemAllocatorEx g_exact;  // as it was: gives the size that was asked for

// Drawn for each program, then a linear congruential sequence (Knuth's MMIX). Threads, which there
// are in jails, may draw the same number.
std::atomic<uint64_t> g_spacing{0};

size_t more_bytes() {
  const uint64_t next = g_spacing.load(std::memory_order_relaxed) * 6364136223846793005 + 1;
  g_spacing.store(next, std::memory_order_relaxed);
  return (next >> 60) * kBlockStep;
}

void* spaced_malloc(void* context, size_t size) {
  return g_exact.malloc(context, size + more_bytes());
}

void* spaced_calloc(void* context, size_t count, size_t size) {
  return g_exact.calloc(context, 1, count * size + more_bytes());
}

void* spaced_realloc(void* context, void* block, size_t size) {
  return g_exact.realloc(context, block, size + more_bytes());
}

}  // namespace

void shuffle_small_blocks() {
  Engine random(random_value<uint64_t>());
  for (uint64_t left = random() % kMostTaken; left > 0; --left) PyObject_Malloc(kBlockStep);
  std::vector<size_t> sizes;
  for (size_t size = kBlockStep; size <= kLargestBlock; size += kBlockStep) {
    sizes.insert(sizes.end(), kPoolsOfEach, size);
  }
  std::ranges::shuffle(sizes, random);
  std::vector<Blocks> pools;
  for (const size_t size : sizes) pools.push_back(take_pool(size));
  for (Blocks& blocks : pools) release(std::move(blocks), random);
}

// Whoever asks CPython for so much has already been refused sizes that would overflow here.
void space_large_blocks() {
  PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &g_exact);
  PyMemAllocatorEx spaced{g_exact.ctx, spaced_malloc, spaced_calloc, spaced_realloc, g_exact.free};
  PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &spaced);
}

// None and the small numbers; they are never given back. From Python 3.12 on they count nothing.
void spread_reference_counts() {
  constexpr uint32_t kMost = 1 << 20;
  for (long number = -5; number <= 256; ++number) {
    PyObject* shared = PyLong_FromLong(number);
    Py_SET_REFCNT(shared, Py_REFCNT(shared) + random_value<uint32_t>() % kMost);
  }
  Py_SET_REFCNT(Py_None, Py_REFCNT(Py_None) + random_value<uint32_t>() % kMost);
}

// Of the sizes of most objects: the pools that a program writes to in any case.
void turn_heap(uint64_t random) {
  constexpr size_t kMostSkipped = 8, kSmallest = 32, kLargest = 80;
  g_spacing.store(random, std::memory_order_relaxed);
  for (size_t size = kSmallest; size <= kLargest; size += kBlockStep, random /= kMostSkipped) {
    for (uint64_t left = random % kMostSkipped; left > 0; --left) PyObject_Malloc(size);
  }
}

}  // namespace azr
