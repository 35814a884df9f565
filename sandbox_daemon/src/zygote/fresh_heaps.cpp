#include "fresh_heaps.h"

#include <Python.h>
#include <malloc.h>

#include <cstdint>
#include <cstdlib>

#include "python_pools.h"
#include "random_heap.h"

namespace azr {
namespace {

constexpr size_t kLargestChunk = 64 << 10;  // larger ones are the C library's to map

// A pool's first block: the holes of the pools before it are full.
bool begins_pool(const void* block, size_t size) {
  return reinterpret_cast<uintptr_t>(block) % kPoolBytes < size + 64;
}

void fill_python_pools() {
  for (size_t size = kBlockStep; size <= kLargestBlock; size += kBlockStep) {
    void* block = PyObject_Malloc(size);
    while (block != nullptr && !begins_pool(block, size)) block = PyObject_Malloc(size);
    PyObject_Free(block);
  }
}

// Whether a chunk of this size was still free below the top of the heap; then it is taken now.
bool take_chunk(size_t size) {
  const size_t top = ::mallinfo2().keepcost;
  void* chunk = ::malloc(size);
  if (chunk == nullptr || ::mallinfo2().keepcost == top) return chunk != nullptr;
  ::free(chunk);
  return false;
}

// Largest first: what fills a large hole leaves the small ones whole.
void fill_c_heap() {
  for (size_t size = kLargestChunk; size > 0; size = size > 1024 ? size / 2 : size - 16) {
    while (take_chunk(size)) {
    }
  }
}

}  // namespace

void make_heaps_fresh() {
  PyGC_Collect();  // and Python's types give back the free objects that they keep
  fill_python_pools();
  shuffle_small_blocks();
  fill_c_heap();
  space_large_blocks();
  spread_reference_counts();
}

}  // namespace azr
