#include "page_restore.h"

#include <immintrin.h>

#include <bit>
#include <cstring>

#include "pagemap.h"

namespace azr {
namespace {

constexpr size_t kBlocks = 8 * sizeof(Blocks);
constexpr size_t kBlock = kPage / kBlocks;  // bytes that are compared, and written, at once
constexpr Blocks kAll = static_cast<Blocks>(~0U);

template <typename Vector>
const Vector& vector_at(const char* block, size_t i) {
  return reinterpret_cast<const Vector*>(block)[i];
}

[[gnu::target("avx512f")]] bool differ_512(const char* block, const char* copy) {
  __m512i difference{};
  for (size_t i = 0; i < kBlock / sizeof difference; ++i) {
    difference |= vector_at<__m512i>(block, i) ^ vector_at<__m512i>(copy, i);
  }
  return _mm512_test_epi64_mask(difference, difference) != 0;
}

[[gnu::target("avx2")]] bool differ_256(const char* block, const char* copy) {
  __m256i difference{};
  for (size_t i = 0; i < kBlock / sizeof difference; ++i) {
    difference |= vector_at<__m256i>(block, i) ^ vector_at<__m256i>(copy, i);
  }
  return _mm256_testz_si256(difference, difference) == 0;
}

// Each is compiled for one kind of processor, with what it calls.
[[gnu::target("avx512f")]] Blocks restore_512(char* page, const char* copy) {
  unsigned differed = 0;
  for (size_t i = 0; i < kBlocks; ++i) {
    const size_t at = i * kBlock;
    if (!differ_512(page + at, copy + at)) continue;
    std::memcpy(page + at, copy + at, kBlock);
    differed |= 1U << i;
  }
  return static_cast<Blocks>(differed);
}

[[gnu::target("avx2")]] Blocks restore_256(char* page, const char* copy) {
  unsigned differed = 0;
  for (size_t i = 0; i < kBlocks; ++i) {
    const size_t at = i * kBlock;
    if (!differ_256(page + at, copy + at)) continue;
    std::memcpy(page + at, copy + at, kBlock);
    differed |= 1U << i;
  }
  return static_cast<Blocks>(differed);
}

// With narrow registers it costs as much to compare as to copy.
Blocks copy_all(char* page, const char* copy) {
  std::memcpy(page, copy, kPage);
  return kAll;
}

}  // namespace

std::vector<PageRestorer> page_restorers() {
  std::vector<PageRestorer> all;
  if (__builtin_cpu_supports("avx512f")) all.push_back(restore_512);
  if (__builtin_cpu_supports("avx2")) all.push_back(restore_256);
  all.push_back(copy_all);
  return all;
}

void put_back(Blocks blocks, char* page, const char* copy) {
  for (unsigned left = blocks; left != 0; left &= left - 1) {
    const size_t at = static_cast<size_t>(std::countr_zero(left)) * kBlock;
    std::memcpy(page + at, copy + at, kBlock);
  }
}

}  // namespace azr
