// Whatever differs between a page and its copy, by a bit anywhere, is undone, and nothing beside.
#include <cstring>
#include <memory>
#include <random>

#include "expect.h"
#include "page_restore.h"
#include "pagemap.h"

namespace azr {
namespace {

struct alignas(kPage) Page {
  char bytes[kPage];
};

struct Subject {
  std::unique_ptr<Page[]> pages = std::make_unique<Page[]>(3);  // the page and its neighbours
  std::unique_ptr<Page> copy = std::make_unique<Page>();
  std::mt19937 random{1};

  Subject() {
    for (char& byte : copy->bytes) byte = static_cast<char>(random());
    for (size_t i = 0; i < 3; ++i) pages[i] = *copy;
  }
  char* page() { return pages[1].bytes; }
  bool is_restored() const {
    for (size_t i = 0; i < 3; ++i) {
      if (std::memcmp(pages[i].bytes, copy->bytes, kPage) != 0) return false;
    }
    return true;
  }
};

void every_bit_is_seen(PageRestorer restore) {
  Subject subject;
  for (size_t at = 0; at < kPage; ++at) {
    subject.page()[at] ^= static_cast<char>(1 << (at % 8));
    EXPECT(restore(subject.page(), subject.copy->bytes));
    EXPECT(subject.is_restored());
  }
}

// A plain copy finds nothing out.
void equal_pages_are_told(PageRestorer restore) {
  Subject subject;
  EXPECT(!restore(subject.page(), subject.copy->bytes) || restore == page_restorers().back());
}

void many_differences_are_seen(PageRestorer restore) {
  Subject subject;
  for (int round = 0; round < 1000; ++round) {
    for (size_t i = subject.random() % 40; i > 0; --i) {
      subject.page()[subject.random() % kPage] = static_cast<char>(subject.random());
    }
    if (round % 100 == 0) std::memset(subject.page(), round, kPage);
    restore(subject.page(), subject.copy->bytes);
    EXPECT(subject.is_restored());
  }
}

}  // namespace
}  // namespace azr

int main() {
  for (const azr::PageRestorer restore : azr::page_restorers()) {
    azr::every_bit_is_seen(restore);
    azr::equal_pages_are_told(restore);
    azr::many_differences_are_seen(restore);
  }
  return test_result();
}
