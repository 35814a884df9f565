#include "hot_pages.h"

#include <algorithm>

namespace azr {
namespace {

// Looking at a page costs some 0.1 us; a fault, a copy and its protection 1.5 us, and ten on a
// virtual machine within another, and the first one of a program ten more to ask for all of them:
// hot is what one program in sixteen writes to (one in eight or in thirty-two: no faster for
// programs of CRUXEval's size). The first programs pay for hundreds of faults each: of them a few
// must do to learn from.
constexpr uint64_t kWindow = 64, kFirstWindow = 8;  // programs
constexpr uint8_t kHits = 4, kFirstHits = 2;
constexpr size_t kMost = 4096;  // pages
// Programs of another kind may come, so no page is hot for ever: each in its turn is tracked again,
// once in this many windows. All at once they would hold up the programs of that time for
// milliseconds.
constexpr uint64_t kTurn = 512;

}  // namespace

HotPages::HotPages(size_t pages)
    : is_hot_(pages), hits_(pages), noted_(pages), learned_(pages), list_(pages) {}

void HotPages::note(size_t page) {
  const uint8_t enough = programs_ < kWindow ? kFirstHits : kHits;
  if (hits_[page]++ == 0) noted_[noted_count_++] = static_cast<uint32_t>(page);
  const bool has_room = count_ + learned_count_ < kMost;
  if (hits_[page] == enough && has_room) learned_[learned_count_++] = static_cast<uint32_t>(page);
}

uint64_t HotPages::window() const { return programs_ <= kWindow ? kFirstWindow : kWindow; }

bool HotPages::end_program() {
  const bool ends_window = ++programs_ % window() == 0;
  if (ends_window) end_window();
  return ends_window || learned_count_ > 0;
}

void HotPages::end_window() {
  for (; noted_count_ > 0; --noted_count_) hits_[noted_[noted_count_ - 1]] = 0;
  due_ += count_;
}

std::optional<size_t> HotPages::learn() {
  if (learned_count_ == 0) return std::nullopt;
  const size_t page = learned_[--learned_count_];
  list_[count_++] = static_cast<uint32_t>(page);
  is_hot_[page] = 1;
  return page;
}

// The one that has been hot for longest.
std::optional<size_t> HotPages::forget() {
  if (due_ < kTurn || count_ == 0) return std::nullopt;
  due_ -= kTurn;
  const size_t page = list_[0];
  std::ranges::copy(list_.span().first(count_).subspan(1), list_.data());
  --count_;
  is_hot_[page] = 0;
  return page;
}

}  // namespace azr
