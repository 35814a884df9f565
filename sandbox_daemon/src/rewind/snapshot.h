// A runner's memory as it was when it first stopped, and the way back to it.
//
// Pages that many programs write to are *hot*: they are looked at and put right every time, which
// costs less than the faults of those that do write: the blocks that changed lately are copied, and
// the page's fingerprint tells whether that was all; if not, it is compared with its copy. The
// other pages that were there lie in *extents*, and what was not there is a *gap*. To write to
// either takes a page fault. After a program that had one, the kernel's write tracking tells what
// it wrote of extents, and the file's size whether a page appeared in a gap: that is given back,
// and reads as zeros again.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "area.h"
#include "hot_pages.h"
#include "page_fingerprint.h"
#include "page_restore.h"
#include "pagemap.h"
#include "writable_memory.h"

namespace azr {

class Snapshot {
 public:
  // Of a stopped process whose memory is `mappings`, all in `memory_file`. Throws StartError.
  // Without fingerprints all hot pages are compared.
  Snapshot(std::vector<WritableMapping> mappings, const UniqueFd& memory_file, Pagemap pagemap,
           std::optional<PageFingerprints> fingerprints = PageFingerprints::with_new_key());

  // Makes the memory what it was. `has_faulted`: whether the process had a page fault since the
  // last time, without which it cannot write to a page that is not hot. False when the kernel
  // refused a step: the process is of no use.
  bool restore(bool has_faulted);
  size_t saved() const { return saved_count_; }

  // The address of the first byte that is not what it was: looks at every page.
  std::optional<uintptr_t> first_difference() const;
  // The process's memory, as the calling process sees it.
  char* view(uintptr_t address) const;

 private:
  struct Pages {
    size_t first, end;  // of the memory file
  };

  void divide(const WritableMapping& mapping);
  void add_extent(Pages pages);
  void save();
  bool restore_cold();
  bool restore_extent(const Pages& extent);
  bool restore_run(Pages run);
  bool empty_gaps();
  bool empty_gap(const Pages& gap);
  bool give_back(Pages run);
  Blocks restore_page(size_t page);
  void restore_hot(size_t page);
  bool is_compared(size_t page) const;
  bool change_hot();
  bool has_grown() const;
  size_t page_of(uintptr_t address) const;
  AddressRange addresses_of(Pages pages) const;
  char* at(size_t page) const { return view_.data() + page * kPage; }

  std::vector<WritableMapping> mappings_;  // in order of their addresses and offsets
  int file_;
  Pagemap pagemap_;
  Area<char> view_;
  Area<char> copies_;
  std::vector<Pages> extents_, gaps_;
  Area<const char*> saved_;  // by page of the memory file; null: in a gap
  Area<PageRegion> found_;
  HotPages hot_;
  std::optional<PageFingerprints> fingerprints_;
  Area<PageFingerprints::Fingerprint> saved_fingerprint_;  // by page: of its copy
  Area<Blocks> changing_;                                  // by page: as seen while it is hot
  const PageRestorer make_equal_ = page_restorers().front();
  size_t hot_in_gaps_ = 0, saved_count_ = 0, restored_ = 0;
};

}  // namespace azr
