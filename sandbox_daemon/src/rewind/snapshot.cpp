#include "snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace azr {
namespace {

constexpr size_t kFound = 4096;    // runs of pages that one look of the kernel may tell
constexpr size_t kMostHot = 4096;  // pages
// Copying a page costs some 0.1 us, a fault, a copy and its protection 1.5 us: hot is what one
// program in ten writes to.
constexpr uint64_t kWindow = 64;
constexpr uint8_t kHotHits = 6;
// Programs of another kind may come: what is hot is learnt anew.
constexpr uint64_t kForgetAfter = 16384;

alignas(kPage) constexpr char kZeros[kPage] = {};

size_t file_pages(const std::vector<WritableMapping>& mappings) {
  return (mappings.back().offset + mappings.back().range.size()) / kPage;
}

// Calls visit(first, end) for every run of pages that the file holds.
template <typename Visit>
void for_each_data(int file, Visit visit) {
  off_t at = 0;
  while ((at = ::lseek(file, at, SEEK_DATA)) >= 0) {
    const off_t end = ::lseek(file, at, SEEK_HOLE);
    visit(static_cast<size_t>(at) / kPage, static_cast<size_t>(end) / kPage);
    at = end;
  }
}

}  // namespace

Snapshot::Snapshot(std::vector<WritableMapping> mappings, const UniqueFd& memory_file,
                   Pagemap pagemap)
    : mappings_(std::move(mappings)),
      file_(memory_file.get()),
      pagemap_(std::move(pagemap)),
      view_(file_pages(mappings_) * kPage, file_),
      saved_(file_pages(mappings_)),
      is_hot_(file_pages(mappings_)),
      hits_(file_pages(mappings_)),
      hot_(kMostHot),
      found_(kFound) {
  save();
}

void Snapshot::save() {
  for_each_data(file_, [this](size_t first, size_t end) { saved_count_ += end - first; });
  copies_ = Area<char>(saved_count_ * kPage);
  char* copy = copies_.data();
  for_each_data(file_, [&](size_t first, size_t end) {
    std::memcpy(copy, at(first), (end - first) * kPage);
    for (size_t page = first; page < end; ++page, copy += kPage) saved_[page] = copy;
  });
  for (const auto& mapping : mappings_) {
    if (!pagemap_.mark_clean(mapping.range)) {
      throw StartError("rewind: cannot protect memory: " + errno_text());
    }
  }
}

size_t Snapshot::page_of(uintptr_t address) const {
  const auto after = std::ranges::upper_bound(
      mappings_, address, {}, [](const WritableMapping& mapping) { return mapping.range.begin; });
  const WritableMapping& mapping = *std::prev(after);
  return (mapping.offset + (address - mapping.range.begin)) / kPage;
}

uintptr_t Snapshot::address_of(size_t page) const {
  const auto after =
      std::ranges::upper_bound(mappings_, page * kPage, {}, &WritableMapping::offset);
  const WritableMapping& mapping = *std::prev(after);
  return mapping.range.begin + (page * kPage - mapping.offset);
}

char* Snapshot::view(uintptr_t address) const { return at(page_of(address)) + address % kPage; }

void Snapshot::restore_page(size_t page) {
  std::memcpy(at(page), saved_[page] != nullptr ? saved_[page] : kZeros, kPage);
}

bool Snapshot::restore() {
  for (size_t i = 0; i < hot_count_; ++i) restore_page(hot_[i]);
  written_ = 0;
  const uintptr_t end = mappings_.back().range.end;
  for (uintptr_t next = mappings_.front().range.begin; next < end;) {
    const long count = pagemap_.written({next, end}, found_.span(), next);
    if (count < 0) return false;
    for (long i = 0; i < count; ++i) {
      if (!restore_written(found_[static_cast<size_t>(i)])) return false;
    }
  }
  if (++restores_ % kWindow == 0) learn();
  return restores_ % kForgetAfter != 0 || forget_hot();
}

// Mappings that follow one another in memory do so in the file.
bool Snapshot::restore_written(const PageRegion& region) {
  const size_t first = page_of(region.begin);
  const size_t end = first + (region.end - region.begin) / kPage;
  const auto kind = [this](size_t page) {
    return is_hot_[page] != 0 ? 0 : saved_[page] != nullptr ? 1 : 2;
  };
  for (size_t page = first; page < end;) {
    size_t run_end = page + 1;
    while (run_end < end && kind(run_end) == kind(page)) ++run_end;
    const uintptr_t address = region.begin + (page - first) * kPage;
    if (kind(page) != 0 && !restore_run(page, run_end, address)) return false;
    page = run_end;
  }
  return true;
}

// Of pages that are all saved or all grown.
bool Snapshot::restore_run(size_t first, size_t end, uintptr_t address) {
  written_ += end - first;
  for (size_t page = first; page < end; ++page) ++hits_[page];
  if (saved_[first] == nullptr) return give_back(first, end);
  for (size_t page = first; page < end; ++page) restore_page(page);
  return pagemap_.mark_clean({address, address + (end - first) * kPage});
}

bool Snapshot::give_back(size_t first, size_t end) {
  return ::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(first * kPage),
                     static_cast<off_t>((end - first) * kPage)) == 0;
}

void Snapshot::learn() {
  for (size_t page = 0; page < hits_.size(); ++page) {
    if (hits_[page] >= kHotHits && hot_count_ < kMostHot) {
      hot_[hot_count_++] = static_cast<uint32_t>(page);
      is_hot_[page] = 1;
    }
    hits_[page] = 0;
  }
}

bool Snapshot::forget_hot() {
  bool done = true;
  for (size_t i = 0; i < hot_count_; ++i) {
    const size_t page = hot_[i];
    const uintptr_t address = address_of(page);
    is_hot_[page] = 0;
    done = (saved_[page] == nullptr ? give_back(page, page + 1)
                                    : pagemap_.mark_clean({address, address + kPage})) &&
           done;
  }
  hot_count_ = 0;
  return done;
}

std::optional<uintptr_t> Snapshot::first_difference() const {
  std::optional<uintptr_t> found;
  size_t seen = 0;
  for_each_data(file_, [&](size_t first, size_t end) {
    for (size_t page = first; page < end && !found; ++page) {
      seen += saved_[page] != nullptr;
      const char* was = saved_[page] != nullptr ? saved_[page] : kZeros;
      if (std::memcmp(at(page), was, kPage) == 0) continue;
      const char* differs = std::mismatch(was, was + kPage, at(page)).second;
      found = address_of(page) + static_cast<uintptr_t>(differs - at(page));
    }
  });
  if (!found && seen != saved_count_) found = mappings_.front().range.begin;  // a page is gone
  return found;
}

}  // namespace azr
