// Which pages many programs write to, judged by the last programs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "area.h"

namespace azr {

class HotPages {
 public:
  explicit HotPages(size_t pages);  // of which some will be hot

  void add_for_ever(size_t page);
  bool has(size_t page) const { return is_hot_[page] != 0; }
  std::span<const uint32_t> all() const { return list_.span().first(count_); }

  // The present program wrote to a page that is not hot.
  void note(size_t page);
  // The present program is over; true when it is time to change what is hot.
  bool end_program();
  // Of pages that become hot: as long as there are any.
  std::optional<size_t> learn();
  // Of pages that are hot no longer.
  std::optional<size_t> forget();

 private:
  uint64_t window() const;

  Area<uint8_t> is_hot_, hits_;  // by page; how many programs of this window wrote to it
  Area<uint32_t> noted_;         // pages with hits
  Area<uint32_t> list_;          // of hot pages: those for ever, then in the order they became hot
  size_t noted_count_ = 0, count_ = 0, for_ever_ = 0;
  uint64_t programs_ = 0, due_ = 0;
};

}  // namespace azr
