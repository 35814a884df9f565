#include "page_fingerprint.h"

#include <immintrin.h>

#include <bit>
#include <cassert>
#include <utility>

#include "pagemap.h"
#include "random.h"

namespace azr {
namespace {

[[gnu::target("avx512f,vpclmulqdq")]] __m512i product(const char* page, const char* key) {
  const __m512i masked = _mm512_xor_si512(_mm512_load_si512(page), _mm512_load_si512(key));
  return _mm512_clmulepi64_epi128(masked, masked, 0x01);  // of each pair of words
}

// Two sums: one would wait for itself.
[[gnu::target("avx512f,vpclmulqdq")]] PageFingerprints::Fingerprint fingerprint(const char* page,
                                                                                const char* key) {
  constexpr size_t kVector = sizeof(__m512i);
  __m512i even{}, odd{};
  for (size_t at = 0; at < kPage; at += 2 * kVector) {
    even ^= product(page + at, key + at);
    odd ^= product(page + at + kVector, key + at + kVector);
  }
  const auto sums = std::bit_cast<std::array<uint64_t, 8>>(even ^ odd);
  return {sums[0] ^ sums[2] ^ sums[4] ^ sums[6], sums[1] ^ sums[3] ^ sums[5] ^ sums[7]};
}

}  // namespace

bool PageFingerprints::are_supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
}

std::optional<PageFingerprints> PageFingerprints::with_new_key() {
  if (!are_supported()) return std::nullopt;
  Area<char> key(kPage);
  draw_random(std::as_writable_bytes(key.span()));
  return PageFingerprints(std::move(key));
}

PageFingerprints::PageFingerprints(Area<char> key) : key_(std::move(key)) {
  assert(are_supported() && key_.span().size() == kPage);
}

PageFingerprints::Fingerprint PageFingerprints::of(const char* page) const {
  return fingerprint(page, key_.data());
}

}  // namespace azr
