#include "fixed_heap.h"

#include <Python.h>
#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#include "error.h"
#include "program_limits.h"

namespace azr {
namespace {

constexpr size_t kArena = 1 << 20;  // of CPython's allocator (Objects/obmalloc.c)
constexpr size_t kRoom = kRewindArenaBytes / kArena;
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
  if (size != kArena) return std::malloc(size);
  if (g_area.free_count > 0) return g_area.free[--g_area.free_count];
  return g_area.used < g_area.count ? g_area.base + kArena * g_area.used++ : nullptr;
}

void return_arena(void*, void* arena, size_t size) {
  if (size != kArena) return std::free(arena);
  g_area.free[g_area.free_count++] = arena;
}

// What imports left of the area, but for the room of programs, is not needed.
void cut_arenas() {
  g_area.count = g_area.used + kRoom;
  ::munmap(g_area.base + kArena * g_area.count, kArena * (kMostWarm + kRoom - g_area.count));
}

}  // namespace

void use_fixed_heap() {
  constexpr size_t kBytes = kArena * (kMostWarm + kRoom);
  void* area = ::mmap(nullptr, kBytes + kArena, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) throw StartError("rewind: cannot map the arenas: " + errno_text());
  const auto aligned = (reinterpret_cast<uintptr_t>(area) + kArena - 1) & ~(kArena - 1);
  g_area.base = reinterpret_cast<char*>(aligned);
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
}

}  // namespace azr
