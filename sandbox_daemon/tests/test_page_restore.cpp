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

// It finds nothing out.
bool is_plain_copy(PageRestorer restore) { return restore == page_restorers().back(); }

void every_bit_is_seen(PageRestorer restore) {
  Subject subject;
  for (size_t at = 0; at < kPage; ++at) {
    subject.page()[at] ^= static_cast<char>(1 << (at % 8));
    const Blocks all = 0xffff, differed = restore(subject.page(), subject.copy->bytes);
    EXPECT(differed == (is_plain_copy(restore) ? all : 1 << at / (kPage / 16)));
    EXPECT(subject.is_restored());
  }
}

void equal_pages_are_told(PageRestorer restore) {
  Subject subject;
  EXPECT(restore(subject.page(), subject.copy->bytes) == 0 || is_plain_copy(restore));
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

void blocks_are_put_back_and_no_others() {
  Subject subject;
  for (size_t round = 0; round < 1000; ++round) {
    const Blocks ends[] = {0, 0xffff};
    const auto blocks = round < 2 ? ends[round] : static_cast<Blocks>(subject.random());
    for (char& byte : subject.pages[1].bytes) byte = static_cast<char>(byte + 1 + round % 100);
    Page expected = subject.pages[1];
    for (size_t at = 0; at < kPage; ++at) {
      if ((blocks >> at / (kPage / 16) & 1) != 0) expected.bytes[at] = subject.copy->bytes[at];
    }
    put_back(blocks, subject.page(), subject.copy->bytes);
    EXPECT(std::memcmp(subject.page(), expected.bytes, kPage) == 0);
    subject.pages[1] = *subject.copy;
    EXPECT(subject.is_restored());  // and so are its neighbours
  }
}

}  // namespace
}  // namespace azr

int main() {
  azr::blocks_are_put_back_and_no_others();
  for (const azr::PageRestorer restore : azr::page_restorers()) {
    azr::every_bit_is_seen(restore);
    azr::equal_pages_are_told(restore);
    azr::many_differences_are_seen(restore);
  }
  return test_result();
}
