#include "huge_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace azr {
namespace {

constexpr uintptr_t kHugePage = 2u << 20;

uintptr_t down(uintptr_t address) { return address & ~(kHugePage - 1); }
uintptr_t up(uintptr_t address) { return down(address + kHugePage - 1); }

// Neighbouring mappings that move together, and how much room lies free around them.
struct Run {
  uintptr_t begin, end;
  int protection;
  uintptr_t free_below, free_above;  // bounds of the free room
  bool is_heap;                      // the program break grows it
};

struct Mapping {
  uintptr_t begin = 0, end = 0;
  int protection = 0;
  bool movable = false, is_heap = false;
};

Mapping parse(const std::string& line) {
  Mapping mapping;
  char dash = 0;
  std::string rights, offset, device, inode, name;
  std::istringstream words(line);
  words >> std::hex >> mapping.begin >> dash >> mapping.end >> rights >> offset >> device >>
      inode >> name;
  if (rights.size() != 4) return {};
  if (rights[0] == 'r') mapping.protection |= PROT_READ;
  if (rights[1] == 'w') mapping.protection |= PROT_WRITE;
  if (rights[2] == 'x') mapping.protection |= PROT_EXEC;
  mapping.is_heap = name == "[heap]";
  const bool special = name.starts_with("[") && !mapping.is_heap && !name.starts_with("[anon");
  mapping.movable = rights[0] == 'r' && rights[3] == 'p' && !special;
  return mapping;
}

std::vector<Run> movable_runs() {
  std::vector<Run> runs;
  std::ifstream maps("/proc/self/maps");
  uintptr_t last_end = 0;  // of the mapping before
  bool open = false;       // the last run may grow
  for (std::string line; std::getline(maps, line);) {
    const Mapping mapping = parse(line);
    if (mapping.end == 0) continue;
    if (!runs.empty() && runs.back().end == last_end) runs.back().free_above = mapping.begin;
    if (mapping.movable && open && runs.back().end == mapping.begin) {
      runs.back().end = mapping.end;
      runs.back().protection |= mapping.protection;
    } else if (mapping.movable) {
      runs.push_back(
          {mapping.begin, mapping.end, mapping.protection, last_end, mapping.end, mapping.is_heap});
    }
    open = mapping.movable;
    last_end = mapping.end;
  }
  return runs;
}

// Outward to whole huge pages where nothing else is.
Run widened(Run run) {
  const uintptr_t below = down(run.begin), above = up(run.end);
  if (below >= run.free_below) run.begin = below;
  if (above <= run.free_above && !run.is_heap) run.end = above;
  return run;
}

// Empty room at the same offset within a huge page, so that whole huge pages move as they are.
char* make_room(const Run& run) {
  const size_t bytes = run.end - run.begin;
  void* area = ::mmap(nullptr, bytes + 2 * kHugePage, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return nullptr;
  const auto base = reinterpret_cast<uintptr_t>(area);
  const uintptr_t at = up(base) + (run.begin & (kHugePage - 1));
  ::munmap(area, at - base);
  ::munmap(reinterpret_cast<void*>(at + bytes), base + 2 * kHugePage - at);
  return reinterpret_cast<char*>(at);
}

// Allocates nothing and writes nowhere but to the stack and to the new place: what is copied must
// be what is there when the new place takes over.
void move(const Run& run) {
  const Run whole = widened(run);
  const size_t bytes = whole.end - whole.begin;
  char* room = make_room(whole);
  if (room == nullptr) return;
  const bool copied = ::mprotect(room, bytes, PROT_READ | PROT_WRITE) == 0;
  if (copied) {
    ::madvise(room, bytes, MADV_HUGEPAGE);
    std::memcpy(room + (run.begin - whole.begin), reinterpret_cast<void*>(run.begin),
                run.end - run.begin);
  }
  if (!copied || ::mprotect(room, bytes, run.protection) != 0 ||
      ::mremap(room, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
               reinterpret_cast<void*>(whole.begin)) == MAP_FAILED) {
    ::munmap(room, bytes);
  }
}

// The heap must end with a huge page: what the program break adds later is not part of it.
void round_up_program_break() {
  const auto end = reinterpret_cast<uintptr_t>(::sbrk(0));
  [[maybe_unused]] void* before = ::sbrk(static_cast<intptr_t>(up(end) - end));
}

}  // namespace

void move_to_huge_pages() {
  round_up_program_break();
  for (const Run& run : movable_runs()) move(run);
}

}  // namespace azr
