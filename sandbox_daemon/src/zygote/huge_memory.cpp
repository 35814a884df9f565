#include "huge_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "random.h"

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
  bool is_read_only() const { return (protection & PROT_WRITE) == 0; }
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

// Calls visit(mapping) for each of the process.
template <typename Visit>
void for_each_mapping(Visit visit) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const Mapping mapping = parse(line);
    if (mapping.end != 0) visit(mapping);
  }
}

// Between two that are only read, what would keep both from having a whole huge page: then they are
// neighbours that move together.
void fill_small_gaps() {
  std::vector<std::pair<uintptr_t, uintptr_t>> gaps;
  Mapping before;
  for_each_mapping([&](const Mapping& mapping) {
    const bool both =
        before.movable && mapping.movable && before.is_read_only() && mapping.is_read_only();
    const uintptr_t gap = mapping.begin - before.end;
    if (both && gap > 0 && gap < kHugePage) gaps.emplace_back(before.end, mapping.begin);
    before = mapping;
  });
  for (const auto& [begin, end] : gaps) {
    ::mmap(reinterpret_cast<void*>(begin), end - begin, PROT_READ,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  }
}

std::vector<Run> movable_runs() {
  std::vector<Run> runs;
  uintptr_t last_end = 0;  // of the mapping before
  bool open = false;       // the last run may grow
  for_each_mapping([&](const Mapping& mapping) {
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
  });
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
  fill_small_gaps();
  for (const Run& run : movable_runs()) move(run);
}

// Large mappings are put below what is there: room that nobody may use comes in between.
void begin_mappings_at_any_page() {
  constexpr size_t kPage = 4096, kProbe = kHugePage / 2;
  const size_t room = kPage * (1 + random_value<uint32_t>() % (kHugePage / kPage - 1));
  void* const probe =
      ::mmap(nullptr, kProbe, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe == MAP_FAILED) return;
  ::munmap(probe, kProbe);
  ::mmap(static_cast<char*>(probe) + kProbe - room, room, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

}  // namespace azr
