// Which pages of a process were written to: the kernel's answer, by PAGEMAP_SCAN over memory that
// is write-protected by an asynchronous userfaultfd (Linux 6.7;
// Documentation/admin-guide/mm/pagemap.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "unique_fd.h"

namespace azr {

inline constexpr size_t kPage = 4096;

struct AddressRange {
  uintptr_t begin, end;
  size_t size() const { return end - begin; }
};

// As the kernel writes it: struct page_region.
struct PageRegion {
  uint64_t begin, end, categories;
};

// A userfaultfd of the calling process that protects without anybody being told. Empty and errno
// where the kernel has none or forbids it.
UniqueFd make_write_tracker();
// Of what is registered pages are protected once mark_clean() was called on them.
bool track_writes(const UniqueFd& tracker, AddressRange range);

class Pagemap {
 public:
  Pagemap() = default;
  // Of /proc/PID/pagemap.
  explicit Pagemap(UniqueFd fd) : fd_(std::move(fd)) {}

  // The pages of `range`, all of it tracked, written since they were marked clean, as many runs as
  // fit into `found`; `next` becomes where to go on. Negative on failure.
  long written(AddressRange range, std::span<PageRegion> found, uintptr_t& next) const;
  // The pages of a process's own, of all its memory: those that are in memory or swapped out.
  long populated(AddressRange range, std::span<PageRegion> found, uintptr_t& next) const;
  // Every page of `range`, all of it tracked, is protected: as if never written.
  bool mark_clean(AddressRange range) const;

 private:
  UniqueFd fd_;
};

}  // namespace azr
