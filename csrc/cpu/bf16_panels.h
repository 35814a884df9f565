// Operands of bf16 products as the dot products of AVX-512-BF16 take them: panels of 16 rows, pair
// after pair of the sum's index, so that a panel is a sequence of vectors of 16 pairs.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "cpu/bf16_product.h"

namespace azr {
namespace {

using Pair = std::uint32_t;  // of bf16 numbers

constexpr std::int64_t kPanel = 16;

// Pairs that an instruction sums.
#ifdef __AMX_BF16__
constexpr std::int64_t kStep = 16;
#else
constexpr std::int64_t kStep = 1;
#endif

// Results of one call: where they go and how many pairs each sums.
struct Target {
  float* c;
  std::int64_t stride;
  std::int64_t pairs;
  bool add;
};

struct Free {
  void operator()(Pair* pairs) const { std::free(pairs); }
};
using Panels = std::unique_ptr<Pair, Free>;

inline std::int64_t blocks(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

// Of sums over `depth` numbers, in whole steps.
inline std::int64_t pairs_of(std::int64_t depth) { return blocks(depth, 2 * kStep) * kStep; }

// For `rows` rows, room for whole panels.
inline Panels new_panels(std::int64_t rows, std::int64_t pairs) {
  const std::int64_t padded = blocks(rows, kPanel) * kPanel;
  return Panels(static_cast<Pair*>(std::aligned_alloc(64, padded * pairs * sizeof(Pair))));
}

// All lanes up to `count`.
template <class Mask>
Mask lanes(std::int64_t count) {
  constexpr std::int64_t all = 8 * sizeof(Mask);
  return static_cast<Mask>(count >= all ? ~Mask{0}
                                        : (Mask{1} << std::max<std::int64_t>(count, 0)) - 1);
}

// A matrix of 16 x 16 pairs, in four steps of pairwise exchange. Unrolled, it stays in registers.
inline void transpose(__m512i x[16]) {
  __m512i y[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    const int i = j / 2 * 4, k = j % 2;
    x[i + 2 * k] = _mm512_unpacklo_epi64(y[i + k], y[i + k + 2]);
    x[i + 2 * k + 1] = _mm512_unpackhi_epi64(y[i + k], y[i + k + 2]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    const int i = j / 4 * 8 + j % 4;
    y[i] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
    y[i + 4] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xdd);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
    x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
  }
}

inline void pack_rows(const Bf16Operand& from, std::int64_t rows, std::int64_t depth, Pair* to) {
  for (std::int64_t k = 0; k < depth; k += 2 * kPanel, to += kPanel * kPanel) {
    const auto mask = lanes<__mmask32>(depth - k);
    __m512i x[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      x[i] =
          _mm512_maskz_loadu_epi16(i < rows ? mask : __mmask32{0}, from.data + i * from.outer + k);
    }
    transpose(x);
    const std::int64_t left = std::min(pairs_of(depth - k), kPanel);
#pragma GCC unroll 16
    for (int p = 0; p < 16; ++p) {
      if (p < left) _mm512_store_si512(to + p * kPanel, x[p]);
    }
  }
}

// Two panels at a time, the second `panel_size` pairs after the first.
inline void pack_columns(const Bf16Operand& from, std::int64_t rows, std::int64_t depth,
                         std::int64_t panel_size, Pair* to) {
  alignas(64) static constexpr auto kInterleaved = [] {
    std::array<std::uint16_t, 4 * kPanel> index{};
    for (std::uint16_t i = 0; i < index.size(); ++i) index[i] = i / 2 + i % 2 * 32;
    return index;
  }();
  const __m512i first = _mm512_load_si512(&kInterleaved[0]);
  const __m512i second = _mm512_load_si512(&kInterleaved[2 * kPanel]);
  const auto mask = lanes<__mmask32>(rows);
  const auto load = [&](std::int64_t k) {
    return _mm512_maskz_loadu_epi16(k < depth ? mask : __mmask32{0}, from.data + k * from.inner);
  };
  for (std::int64_t k = 0; k < 2 * pairs_of(depth); k += 2, to += kPanel) {
    const __m512i even = load(k), odd = load(k + 1);
    _mm512_store_si512(to, _mm512_permutex2var_epi16(even, first, odd));
    if (rows > kPanel) {
      _mm512_store_si512(to + panel_size, _mm512_permutex2var_epi16(even, second, odd));
    }
  }
}

// Rows [begin, begin + count) at indices [k, k + depth), panel after panel; absent ones are 0.
inline void pack(const Bf16Operand& from, std::int64_t begin, std::int64_t count, std::int64_t k,
                 std::int64_t depth, Pair* to) {
  const std::int64_t panel_size = pairs_of(depth) * kPanel;
  const BFloat16* const data = from.data + begin * from.outer + k * from.inner;
  if (from.inner == 1) {
    for (std::int64_t i = 0; i < count; i += kPanel, to += panel_size) {
      pack_rows({data + i * from.outer, from.outer, 1}, std::min(kPanel, count - i), depth, to);
    }
    return;
  }
  // A few of the operand's lines at a time: those of a whole panel share too few sets of the cache.
  constexpr std::int64_t kLines = 32;
  for (std::int64_t j = 0; j < depth; j += kLines, to += kLines / 2 * kPanel) {
    for (std::int64_t i = 0; i < count; i += 2 * kPanel) {
      pack_columns({data + i + j * from.inner, 1, from.inner}, std::min(2 * kPanel, count - i),
                   std::min(kLines, depth - j), panel_size, to + i / kPanel * panel_size);
    }
  }
}

}  // namespace
}  // namespace azr
