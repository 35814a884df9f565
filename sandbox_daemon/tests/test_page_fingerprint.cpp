// A fingerprint is the sum of products that its header names, of every word of a page.
#include <cstdio>
#include <memory>
#include <random>

#include "expect.h"
#include "page_fingerprint.h"
#include "pagemap.h"

namespace azr {
namespace {

using Fingerprint = PageFingerprints::Fingerprint;
constexpr size_t kWords = kPage / sizeof(uint64_t);

struct alignas(kPage) Page {
  uint64_t words[kWords];
  const char* bytes() const { return reinterpret_cast<const char*>(words); }
};

Fingerprint operator^(const Fingerprint& a, const Fingerprint& b) {
  return {a[0] ^ b[0], a[1] ^ b[1]};
}

// Bit by bit: the slow reference.
Fingerprint carry_less_product(uint64_t a, uint64_t b) {
  Fingerprint product{};
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((b >> bit & 1) == 0) continue;
    product[0] ^= a << bit;
    product[1] ^= bit == 0 ? 0 : a >> (64 - bit);
  }
  return product;
}

struct Subject {
  PageFingerprints fingerprints = PageFingerprints::with_new_key().value();
  std::unique_ptr<Page> page = std::make_unique<Page>();
  std::mt19937_64 random{1};

  Subject() {
    for (uint64_t& word : page->words) word = random();
  }
  Fingerprint now() const { return fingerprints.of(page->bytes()); }
  // How much more two changes change together than each alone; that of the key falls out.
  Fingerprint second_difference(size_t first, uint64_t a, size_t second, uint64_t b) {
    Fingerprint sum = now();
    page->words[first] ^= a;
    sum = sum ^ now();
    page->words[second] ^= b;
    sum = sum ^ now();
    page->words[first] ^= a;
    sum = sum ^ now();
    page->words[second] ^= b;
    return sum;
  }
};

void pairs_are_multiplied() {
  Subject subject;
  for (size_t word = 0; word < kWords; word += 2) {
    const uint64_t a = subject.random(), b = subject.random();
    EXPECT(subject.second_difference(word, a, word + 1, b) == carry_less_product(a, b));
  }
}

void products_are_added() {
  Subject subject;
  for (int round = 0; round < 1000; ++round) {
    const size_t first = subject.random() % kWords, second = subject.random() % kWords;
    if (first / 2 == second / 2) continue;
    const uint64_t a = subject.random(), b = subject.random();
    EXPECT(subject.second_difference(first, a, second, b) == Fingerprint{});
  }
}

// In a page of zeros each is multiplied by a word of the key alone: all of it is random.
void every_bit_is_seen(bool of_zeros) {
  Subject subject;
  if (of_zeros) *subject.page = {};
  const Fingerprint whole = subject.now();
  for (size_t bit = 0; bit < 8 * kPage; ++bit) {
    subject.page->words[bit / 64] ^= uint64_t{1} << (bit % 64);
    EXPECT(subject.now() != whole);
    subject.page->words[bit / 64] ^= uint64_t{1} << (bit % 64);
  }
  EXPECT(subject.now() == whole);
}

// Zeros too: their sum is the key's.
void keys_differ() {
  const auto zeros = std::make_unique<Page>();
  EXPECT(Subject().fingerprints.of(zeros->bytes()) != Subject().fingerprints.of(zeros->bytes()));
}

}  // namespace
}  // namespace azr

int main() {
  if (!azr::PageFingerprints::are_supported()) {
    std::puts("skipped: this processor cannot make fingerprints, so pages are compared");
    return 0;
  }
  azr::pairs_are_multiplied();
  azr::products_are_added();
  azr::every_bit_is_seen(false);
  azr::every_bit_is_seen(true);
  azr::keys_differ();
  return test_result();
}
