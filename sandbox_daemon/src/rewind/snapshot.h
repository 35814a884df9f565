// A runner's memory as it was when it first stopped, and the way back to it.
//
// Pages are of three kinds. *Saved* ones were there: what a program wrote is found by the kernel's
// write tracking, copied back, and protected again. *Grown* ones were not: they are given back, and
// read as zeros again. Those of either kind that nearly every program writes to become *hot*: they
// are not tracked but copied (or zeroed) every time, which costs a tenth of a fault.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "area.h"
#include "pagemap.h"
#include "writable_memory.h"

namespace azr {

class Snapshot {
 public:
  // Of a stopped process whose memory is `mappings`, all in `memory_file`. Throws StartError.
  Snapshot(std::vector<WritableMapping> mappings, const UniqueFd& memory_file, Pagemap pagemap);

  // Makes the memory what it was. False when the kernel refused a step: the process is of no use.
  bool restore();
  // Tracked pages that the last program had written to, hot ones not among them.
  size_t written() const { return written_; }
  size_t saved() const { return saved_count_; }

  // The address of the first byte that is not what it was: looks at every page.
  std::optional<uintptr_t> first_difference() const;
  // The process's memory, as the calling process sees it.
  char* view(uintptr_t address) const;

 private:
  void save();
  bool restore_written(const PageRegion& region);
  bool restore_run(size_t first, size_t end, uintptr_t address);
  void restore_page(size_t page);
  void learn();
  bool forget_hot();
  bool give_back(size_t first, size_t end);
  size_t page_of(uintptr_t address) const;
  uintptr_t address_of(size_t page) const;
  char* at(size_t page) const { return view_.data() + page * kPage; }

  std::vector<WritableMapping> mappings_;  // in order of their addresses and offsets
  int file_;
  Pagemap pagemap_;
  Area<char> view_;
  Area<char> copies_;
  // By page of the memory file.
  Area<const char*> saved_;  // null: was not there
  Area<uint8_t> is_hot_;
  Area<uint8_t> hits_;  // in this window
  Area<uint32_t> hot_;  // pages; the first hot_count_ of them
  Area<PageRegion> found_;
  size_t hot_count_ = 0, saved_count_ = 0, written_ = 0;
  uint64_t restores_ = 0;
};

}  // namespace azr
