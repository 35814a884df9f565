// What becomes hot, how soon, and for how long.
#include <algorithm>
#include <functional>
#include <map>

#include "expect.h"
#include "hot_pages.h"

namespace azr {
namespace {

using Writes = std::function<bool(size_t page, uint64_t program)>;

// Runs programs `[begin, end)` that write to those of 64 pages that `writes` says; how often each
// page was tracked again.
std::map<size_t, int> run(HotPages& hot, uint64_t begin, uint64_t end, const Writes& writes) {
  std::map<size_t, int> forgotten;
  for (uint64_t program = begin; program < end; ++program) {
    for (size_t page = 0; page < 64; ++page) {
      if (writes(page, program) && !hot.has(page)) hot.note(page);
    }
    if (!hot.end_program()) continue;
    while (hot.learn()) {
    }
    while (const auto page = hot.forget()) ++forgotten[*page];
  }
  return forgotten;
}

void few_programs_teach() {
  HotPages hot(64);
  const auto five = [](size_t page, uint64_t) { return page < 5; };
  run(hot, 0, 1, five);
  EXPECT(hot.all().empty());
  run(hot, 1, 2, five);
  for (size_t page = 0; page < 64; ++page) EXPECT(hot.has(page) == (page < 5));
  EXPECT(hot.all().size() == 5);
}

// What one program wrote to is no reason to copy it for others.
void rare_pages_stay_cold() {
  HotPages hot(64);
  run(hot, 0, 2000, [](size_t page, uint64_t program) {
    return page == 1 ? program % 64 == 5 : page == 2 && program % 5 == 0;
  });
  EXPECT(!hot.has(1) && hot.has(2));
}

// A page that is not hot costs a fault each time that a program writes to it.
void pages_become_hot_at_once() {
  HotPages hot(64);
  run(hot, 0, 640, [](size_t, uint64_t) { return false; });
  run(hot, 640, 643, [](size_t page, uint64_t) { return page == 9; });
  EXPECT(!hot.has(9));
  run(hot, 643, 644, [](size_t page, uint64_t) { return page == 9; });
  EXPECT(hot.has(9) && hot.all().size() == 1);
}

// Each page in its turn, never many at a time, and what programs still write to is hot again.
void all_are_tracked_again() {
  HotPages hot(64);
  const auto thirty = [](size_t page, uint64_t) { return page < 30; };
  run(hot, 0, 100, thirty);
  EXPECT(hot.all().size() == 30);
  std::map<size_t, int> total;
  for (uint64_t at = 100; at < 100 + 64 * 600; at += 64) {
    const auto forgotten = run(hot, at, at + 64, thirty);
    EXPECT(forgotten.size() <= 1);
    for (const auto& [page, times] : forgotten) total[page] += times;
    EXPECT(hot.all().size() >= 29);
  }
  EXPECT(total.size() == 30);
  EXPECT(std::ranges::all_of(total, [](const auto& one) { return one.second <= 2; }));
}

// However many a program writes to: to look at more would cost more than to run it in a fork.
void there_is_a_limit() {
  HotPages hot(5000);
  for (int program = 0; program < 64; ++program) {
    for (size_t page = 0; page < 5000; ++page) {
      if (!hot.has(page)) hot.note(page);
    }
    hot.end_program();
    while (hot.learn()) {
    }
  }
  EXPECT(hot.all().size() == 4096);
}

// After programs of another kind nothing is left of the first.
void old_pages_are_forgotten() {
  HotPages hot(64);
  run(hot, 0, 100, [](size_t page, uint64_t) { return page < 30; });
  run(hot, 100, 400'000, [](size_t page, uint64_t) { return page == 40; });
  EXPECT(hot.all().size() <= 1 && !hot.has(3));
}

}  // namespace
}  // namespace azr

int main() {
  azr::few_programs_teach();
  azr::rare_pages_stay_cold();
  azr::pages_become_hot_at_once();
  azr::there_is_a_limit();
  azr::all_are_tracked_again();
  azr::old_pages_are_forgotten();
  return test_result();
}
