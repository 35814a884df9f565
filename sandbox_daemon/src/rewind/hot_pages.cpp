#include "hot_pages.h"

#include <algorithm>

namespace azr {
namespace {

// Looking at a page costs some 0.1 us, a fault, a copy and its protection 1.5 us, and ten on a
// virtual machine within another: hot is what one program in sixteen writes to. The first programs
// pay for hundreds of faults each: of them a few must do to learn from.
constexpr uint64_t kWindow = 64, kFirstWindow = 8;  // programs
constexpr uint8_t kHits = 4, kFirstHits = 2;
constexpr size_t kMost = 4096;  // pages
// Programs of another kind may come, so no page is hot for ever: each in its turn is tracked again,
// once in this many windows. All at once they would hold up the programs of that time for
// milliseconds.
constexpr uint64_t kTurn = 512;

}  // namespace

HotPages::HotPages(size_t pages) : is_hot_(pages), hits_(pages), noted_(pages), list_(pages) {}

void HotPages::add_for_ever(size_t page) {
  list_[count_++] = static_cast<uint32_t>(page);
  for_ever_ = count_;
  is_hot_[page] = 1;
}

void HotPages::note(size_t page) {
  if (hits_[page]++ == 0) noted_[noted_count_++] = static_cast<uint32_t>(page);
}

uint64_t HotPages::window() const { return programs_ <= kWindow ? kFirstWindow : kWindow; }

bool HotPages::end_program() {
  ++programs_;
  if (programs_ % window() != 0) return false;
  due_ += count_ - for_ever_;
  return true;
}

std::optional<size_t> HotPages::learn() {
  const uint8_t enough = programs_ <= kWindow ? kFirstHits : kHits;
  while (noted_count_ > 0) {
    const size_t page = noted_[--noted_count_];
    const bool becomes_hot = hits_[page] >= enough && count_ - for_ever_ < kMost;
    hits_[page] = 0;
    if (!becomes_hot) continue;
    list_[count_++] = static_cast<uint32_t>(page);
    is_hot_[page] = 1;
    return page;
  }
  return std::nullopt;
}

// The one that has been hot for longest.
std::optional<size_t> HotPages::forget() {
  if (due_ < kTurn || count_ == for_ever_) return std::nullopt;
  due_ -= kTurn;
  const auto learned = list_.span().first(count_).subspan(for_ever_);
  const size_t page = learned.front();
  std::ranges::copy(learned.subspan(1), learned.begin());
  --count_;
  is_hot_[page] = 0;
  return page;
}

}  // namespace azr
