// Addresses of Python's objects that differ from zygote to zygote and from program to program, down
// to the 16 bytes that CPython's hashes of addresses begin with. The kernel moves mappings by whole
// pages only, and a warm interpreter allocates the same blocks every time: without this, what
// follows addresses would be the same in all replicas.
#pragma once

#include <cstdint>

namespace azr {

// Python's allocator for objects of up to 512 bytes will give free blocks in a random order: those
// of fresh pools. What lies free in pools that are in use is not touched.
void shuffle_small_blocks();

// Larger blocks, which the C library gives, lie a random number of bytes further apart from now on.
void space_large_blocks();

// `sys.getrefcount` of what every program shares tells each zygote something else from now on.
void spread_reference_counts();

// For each program: where in these orders it begins, and how far apart its large blocks lie.
void turn_heap(uint64_t random);

}  // namespace azr
