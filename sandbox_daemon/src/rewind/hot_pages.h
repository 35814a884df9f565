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
  void end_window();

  Area<uint8_t> is_hot_, hits_;     // by page; how many programs of this window wrote to it
  Area<uint32_t> noted_, learned_;  // pages with hits; those with enough that are not yet hot
  Area<uint32_t> list_;             // of hot pages, in the order in which they became it
  size_t noted_count_ = 0, learned_count_ = 0, count_ = 0;
  uint64_t programs_ = 0, due_ = 0;
};

}  // namespace azr
