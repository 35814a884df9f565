#include "snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace azr {
namespace {

// Runs of pages that one look of the kernel may tell: its own copy of them is quickly made.
constexpr size_t kFound = 128;
// Pages: for the kernel to pass by them costs less than to ask it about an extent more.
constexpr size_t kSmallGap = 64;
constexpr size_t kTurn = 64;  // programs, from one comparison of a hot page to the next
constexpr long kStatBlocks = kPage / 512;  // of a page

alignas(kPage) constexpr char kZeros[kPage] = {};

// Calls visit(first, end) for every run of pages that the file holds in [from, to).
template <typename Visit>
void for_each_data(int file, size_t from, size_t to, Visit visit) {
  while (from < to) {
    const off_t at = ::lseek(file, static_cast<off_t>(from * kPage), SEEK_DATA);
    if (at < 0 || static_cast<size_t>(at) >= to * kPage) return;
    const off_t end = ::lseek(file, at, SEEK_HOLE);
    from = std::min(static_cast<size_t>(end) / kPage, to);
    visit(static_cast<size_t>(at) / kPage, from);
  }
}

size_t pages_of(const WritableMapping& mapping) { return mapping.range.size() / kPage; }

size_t file_pages(const std::vector<WritableMapping>& mappings) {
  return mappings.back().offset / kPage + pages_of(mappings.back());
}

}  // namespace

Snapshot::Snapshot(std::vector<WritableMapping> mappings, const UniqueFd& memory_file,
                   Pagemap pagemap, std::optional<PageFingerprints> fingerprints)
    : mappings_(std::move(mappings)),
      file_(memory_file.get()),
      pagemap_(std::move(pagemap)),
      view_(file_pages(mappings_) * kPage, file_),
      saved_(file_pages(mappings_)),
      found_(kFound),
      hot_(file_pages(mappings_)),
      fingerprints_(std::move(fingerprints)),
      saved_fingerprint_(file_pages(mappings_)),
      changing_(file_pages(mappings_)) {
  for (const auto& mapping : mappings_) divide(mapping);
  save();
}

void Snapshot::divide(const WritableMapping& mapping) {
  const size_t first = mapping.offset / kPage, end = first + pages_of(mapping);
  Pages extent{first, first};
  for_each_data(file_, first, end, [&](size_t from, size_t to) {
    if (from - extent.end > kSmallGap) {
      add_extent(extent);
      gaps_.push_back({extent.end, from});
      extent.first = from;
    }
    extent.end = to;
  });
  add_extent(extent);
  gaps_.push_back({extent.end, end});
}

void Snapshot::add_extent(Pages pages) {
  if (pages.first == pages.end) return;
  if (!extents_.empty() && extents_.back().end == pages.first &&
      addresses_of(extents_.back()).end == addresses_of(pages).begin) {
    extents_.back().end = pages.end;  // of the mapping before
  } else {
    extents_.push_back(pages);
  }
}

// Every page of an extent is in the file from now on, also those that were zeros.
void Snapshot::save() {
  for (const Pages& extent : extents_) saved_count_ += extent.end - extent.first;
  copies_ = Area<char>(saved_count_ * kPage);
  char* copy = copies_.data();
  const auto keep = [&](size_t page) {
    std::memcpy(copy, at(page), kPage);
    std::memcpy(at(page), copy, kPage);
    saved_[page] = copy;
    if (fingerprints_) saved_fingerprint_[page] = fingerprints_->of(copy);
    copy += kPage;
  };
  for (const Pages& extent : extents_) {
    for (size_t page = extent.first; page < extent.end; ++page) keep(page);
    if (!pagemap_.mark_clean(addresses_of(extent))) {
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

AddressRange Snapshot::addresses_of(Pages pages) const {
  const auto after =
      std::ranges::upper_bound(mappings_, pages.first * kPage, {}, &WritableMapping::offset);
  const WritableMapping& mapping = *std::prev(after);
  const uintptr_t begin = mapping.range.begin + (pages.first * kPage - mapping.offset);
  return {begin, begin + (pages.end - pages.first) * kPage};
}

char* Snapshot::view(uintptr_t address) const { return at(page_of(address)) + address % kPage; }

// Which blocks were not as they were.
Blocks Snapshot::restore_page(size_t page) {
  return make_equal_(at(page), saved_[page] != nullptr ? saved_[page] : kZeros);
}

void Snapshot::restore_hot(size_t page) {
  if (is_compared(page)) {
    changing_[page] = restore_page(page);
    return;
  }
  put_back(changing_[page], at(page), saved_[page]);
  if (fingerprints_->of(at(page)) != saved_fingerprint_[page]) {
    changing_[page] |= restore_page(page);
  }
}

// Pages of gaps have no fingerprint: the zeros that they are compared with lie in the cache. Others
// are compared in their turn all the same: should a program ever learn the key, what it hides does
// not stay; and blocks that change no longer are not copied for ever.
bool Snapshot::is_compared(size_t page) const {
  return !fingerprints_ || saved_[page] == nullptr || (page + restored_) % kTurn == 0;
}

bool Snapshot::restore(bool has_faulted) {
  ++restored_;
  for (const size_t page : hot_.all()) restore_hot(page);
  if (has_faulted && !restore_cold()) return false;
  return !hot_.end_program() || change_hot();
}

// The pages that are protected, or not there, until they are written to.
bool Snapshot::restore_cold() {
  for (const Pages& extent : extents_) {
    if (!restore_extent(extent)) return false;
  }
  return !has_grown() || empty_gaps();
}

bool Snapshot::restore_extent(const Pages& extent) {
  const AddressRange range = addresses_of(extent);
  for (uintptr_t next = range.begin; next < range.end;) {
    const long count = pagemap_.written({next, range.end}, found_.span(), next);
    if (count < 0) return false;
    for (long i = 0; i < count; ++i) {
      const PageRegion& region = found_[static_cast<size_t>(i)];
      const size_t first = extent.first + (region.begin - range.begin) / kPage;
      if (!restore_run({first, first + (region.end - region.begin) / kPage})) return false;
    }
  }
  return true;
}

// Of an extent; hot pages, which are always written, lie between others.
bool Snapshot::restore_run(Pages run) {
  for (size_t page = run.first; page < run.end; ++page) {
    if (hot_.has(page)) continue;
    const size_t first = page;
    for (; page < run.end && !hot_.has(page); ++page) {
      restore_page(page);
      hot_.note(page);
    }
    if (!pagemap_.mark_clean(addresses_of({first, page}))) return false;
  }
  return true;
}

// A page that was added to a file cannot be taken from it but by us.
bool Snapshot::has_grown() const {
  struct stat info{};
  return ::fstat(file_, &info) != 0 ||
         info.st_blocks != static_cast<long>(saved_count_ + hot_in_gaps_) * kStatBlocks;
}

bool Snapshot::empty_gaps() {
  return std::ranges::all_of(gaps_, [this](const Pages& gap) { return empty_gap(gap); });
}

bool Snapshot::empty_gap(const Pages& gap) {
  bool done = true;
  for_each_data(file_, gap.first, gap.end, [&](size_t from, size_t to) {
    for (size_t page = from; page < to; ++page) {
      if (hot_.has(page)) continue;
      const size_t first = page;
      for (; page < to && !hot_.has(page); ++page) hot_.note(page);
      done = give_back({first, page}) && done;
    }
  });
  return done;
}

bool Snapshot::give_back(Pages run) {
  return ::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(run.first * kPage),
                     static_cast<off_t>((run.end - run.first) * kPage)) == 0;
}

// A page of a gap is there as long as it is hot.
bool Snapshot::change_hot() {
  while (const auto page = hot_.learn()) {
    hot_in_gaps_ += saved_[*page] == nullptr;
    restore_page(*page);
  }
  bool done = true;
  while (const auto page = hot_.forget()) {
    const Pages run{*page, *page + 1};
    const bool in_gap = saved_[*page] == nullptr;
    hot_in_gaps_ -= in_gap;
    if (!in_gap) restore_page(*page);  // it may never have its turn again
    done = (in_gap ? give_back(run) : pagemap_.mark_clean(addresses_of(run))) && done;
  }
  return done;
}

std::optional<uintptr_t> Snapshot::first_difference() const {
  std::optional<uintptr_t> found;
  size_t seen = 0;
  for_each_data(file_, 0, saved_.size(), [&](size_t first, size_t end) {
    for (size_t page = first; page < end && !found; ++page) {
      seen += saved_[page] != nullptr;
      const char* was = saved_[page] != nullptr ? saved_[page] : kZeros;
      if (std::memcmp(at(page), was, kPage) == 0) continue;
      const char* differs = std::mismatch(was, was + kPage, at(page)).second;
      found = addresses_of({page, page + 1}).begin + static_cast<uintptr_t>(differs - at(page));
    }
  });
  if (!found && seen != saved_count_) found = mappings_.front().range.begin;  // a page is gone
  return found;
}

}  // namespace azr
