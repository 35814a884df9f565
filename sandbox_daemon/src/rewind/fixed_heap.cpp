#include "fixed_heap.h"

#include <Python.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>

#include "error.h"
#include "program_limits.h"
#include "python_pools.h"
#include "random.h"

namespace azr {
namespace {

constexpr size_t kRoom = kRewindArenaBytes / kArenaBytes;
constexpr size_t kMostWarm = 2048;  // arenas that imports may fill: address space, until it is used

// In static memory, which is restored with the rest.
struct ArenaArea {
  char* base = nullptr;
  size_t used = 0, count = kMostWarm;
  void* free[kMostWarm + kRoom] = {};
  size_t free_count = 0;
};
ArenaArea g_area;

// Since 3.11 stacks of Python frames come from here too, in other sizes.
void* take_arena(void*, size_t size) {
  if (size != kArenaBytes) return std::malloc(size);
  if (g_area.free_count > 0) return g_area.free[--g_area.free_count];
  return g_area.used < g_area.count ? g_area.base + kArenaBytes * g_area.used++ : nullptr;
}

void return_arena(void*, void* arena, size_t size) {
  if (size != kArenaBytes) return std::free(arena);
  g_area.free[g_area.free_count++] = arena;
}

// What imports left of the area, but for the room of programs, is not needed.
void cut_arenas() {
  g_area.count = g_area.used + kRoom;
  ::munmap(g_area.base + kArenaBytes * g_area.count,
           kArenaBytes * (kMostWarm + kRoom - g_area.count));
}

// Programs get theirs in an order of this zygote's own.
void shuffle_room() {
  void** const first = g_area.free + g_area.free_count;
  for (; g_area.used < g_area.count; ++g_area.used) {
    g_area.free[g_area.free_count++] = g_area.base + kArenaBytes * g_area.used;
  }
  std::shuffle(first, g_area.free + g_area.free_count, std::mt19937_64(random_value<uint64_t>()));
}

// Somewhere in the first arena's length: the kernel would begin large areas with a huge page.
char* random_begin(void* area) {
  constexpr size_t kPlaces = kArenaBytes / kPoolBytes;
  const auto pool = (reinterpret_cast<uintptr_t>(area) + kPoolBytes - 1) / kPoolBytes;
  return reinterpret_cast<char*>((pool + random_value<uint32_t>() % kPlaces) * kPoolBytes);
}

}  // namespace

void use_fixed_heap() {
  constexpr size_t kBytes = kArenaBytes * (kMostWarm + kRoom + 1);
  void* area = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) throw StartError("rewind: cannot map the arenas: " + errno_text());
  g_area.base = random_begin(area);
  PyObjectArenaAllocator allocator{nullptr, take_arena, return_arena};
  PyObject_SetArenaAllocator(&allocator);
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);  // what a program frees stays
}

void extend_fixed_heap() {
  void* room = std::malloc(kRewindHeapBytes);
  if (room == nullptr) throw StartError("rewind: no memory for the heap");
  std::free(room);
  cut_arenas();
  shuffle_room();
}

}  // namespace azr
