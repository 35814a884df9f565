#include "page_restore.h"

#include <immintrin.h>

#include <cstring>

#include "pagemap.h"

namespace azr {
namespace {

constexpr size_t kBlock = 256;  // bytes that are compared, and written, at once

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
[[gnu::target("avx512f")]] bool restore_512(char* page, const char* copy) {
  bool differed = false;
  for (size_t at = 0; at < kPage; at += kBlock) {
    if (!differ_512(page + at, copy + at)) continue;
    std::memcpy(page + at, copy + at, kBlock);
    differed = true;
  }
  return differed;
}

[[gnu::target("avx2")]] bool restore_256(char* page, const char* copy) {
  bool differed = false;
  for (size_t at = 0; at < kPage; at += kBlock) {
    if (!differ_256(page + at, copy + at)) continue;
    std::memcpy(page + at, copy + at, kBlock);
    differed = true;
  }
  return differed;
}

// With narrow registers it costs as much to compare as to copy.
bool copy_all(char* page, const char* copy) {
  std::memcpy(page, copy, kPage);
  return true;
}

}  // namespace

std::vector<PageRestorer> page_restorers() {
  std::vector<PageRestorer> all;
  if (__builtin_cpu_supports("avx512f")) all.push_back(restore_512);
  if (__builtin_cpu_supports("avx2")) all.push_back(restore_256);
  all.push_back(copy_all);
  return all;
}

}  // namespace azr
