#include "memory_refusals.h"

#include <Python.h>

#include <cstddef>

// The C library's own, under the names that it keeps for who replaces them.
extern "C" void* __libc_malloc(size_t) noexcept;
extern "C" void* __libc_calloc(size_t, size_t) noexcept;
extern "C" void* __libc_realloc(void*, size_t) noexcept;

namespace azr {
namespace {

bool g_refused = false;
PyObjectArenaAllocator g_arenas{};

void* noted(void* memory) {
  if (memory == nullptr) g_refused = true;
  return memory;
}

void* take_arena(void* context, size_t size) { return noted(g_arenas.alloc(context, size)); }

}  // namespace

void watch_arenas() {
  PyObject_GetArenaAllocator(&g_arenas);
  PyObjectArenaAllocator watched = g_arenas;
  watched.alloc = take_arena;
  PyObject_SetArenaAllocator(&watched);
}

bool memory_was_refused() { return g_refused; }

void forget_refused_memory() {
  if (g_refused) g_refused = false;
}

}  // namespace azr

// Of all libraries: the names of a program go before those of the libraries that it is linked with.
// The address sanitizer has its own.
#ifndef __SANITIZE_ADDRESS__
extern "C" {
[[gnu::visibility("default")]] void* malloc(size_t size) noexcept {
  return azr::noted(__libc_malloc(size));
}
[[gnu::visibility("default")]] void* calloc(size_t count, size_t size) noexcept {
  return azr::noted(__libc_calloc(count, size));
}
[[gnu::visibility("default")]] void* realloc(void* memory, size_t size) noexcept {
  void* const moved = __libc_realloc(memory, size);
  return size == 0 ? moved : azr::noted(moved);
}
}
#endif
