// CPython's allocator of small blocks, as Objects/obmalloc.c of 3.10 and later has it.
#pragma once

#include <cstddef>

namespace azr {

// Blocks of 16 to 512 bytes lie in pools of 16 KiB, each of blocks of one size.
inline constexpr size_t kBlockStep = 16, kLargestBlock = 512;
inline constexpr size_t kPoolBytes = 16384, kPoolHeader = 48;
// Pools lie in arenas, which the allocator asks its source for one by one.
inline constexpr size_t kArenaBytes = 1 << 20;

}  // namespace azr
