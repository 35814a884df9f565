// Tiles of a bf16 product by AVX-512-BF16's dot products of pairs.
//
// A tile of 8 x 48 results stays in registers while its sum runs: 24 dot products for 3 vector
// loads and 8 broadcasts.
#pragma once

#include "cpu/bf16_ahead.h"
#include "cpu/bf16_panels.h"

namespace azr {
namespace {

constexpr std::int64_t kTileRows = 8, kTileColumns = 48;
constexpr std::int64_t kTilePanels = kTileColumns / kPanel;

struct [[maybe_unused]] TileRegisters {};  // vectors need no setting up

// Both operands are packed alike.
inline void pack_left(const Bf16Operand& from, std::int64_t begin, std::int64_t count,
                      std::int64_t k, std::int64_t depth, Pair* to) {
  pack(from, begin, count, k, depth, to);
}

// The first `rows` x `columns` of a tile. `a` points at the first of 8 rows of a panel, `b` at
// `kPanels` panels.
template <int kPanels>
void tile(const Pair* a, const Pair* b, const Target& target, std::int64_t rows,
          std::int64_t columns, Aheads& ahead) {
  constexpr std::int64_t kFetchEvery = 8;  // often enough to fetch all in time
  float* const c = target.c;
  for (std::int64_t i = 0; i < rows; ++i) {  // there when the sum has run
    for (std::int64_t j = 0; j < kPanels * kPanel; j += kPanel) {
      __builtin_prefetch(c + i * target.stride + j, 1, 2);
    }
  }
  __m512 sums[kTileRows][kPanels] = {};
  for (std::int64_t p = 0; p < target.pairs; ++p) {
    if (p % kFetchEvery == 0) ahead.fetch();
    __m512bh right[kPanels];
#pragma GCC unroll 3
    for (int j = 0; j < kPanels; ++j) {
      right[j] = (__m512bh)_mm512_load_si512(b + (j * target.pairs + p) * kPanel);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
      const auto left = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[p * kPanel + i]));
#pragma GCC unroll 3
      for (int j = 0; j < kPanels; ++j) {
        sums[i][j] = _mm512_dpbf16_ps(sums[i][j], left, right[j]);
      }
    }
  }
  __mmask16 written[kPanels], read[kPanels];
  for (int j = 0; j < kPanels; ++j) {
    written[j] = lanes<__mmask16>(columns - j * kPanel);
    read[j] = target.add ? written[j] : __mmask16{0};
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
    if (i >= rows) break;
#pragma GCC unroll 3
    for (int j = 0; j < kPanels; ++j) {
      float* const to = c + i * target.stride + j * kPanel;
      const __m512 before = _mm512_maskz_loadu_ps(read[j], to);
      _mm512_mask_storeu_ps(to, written[j], _mm512_add_ps(before, sums[i][j]));
    }
  }
}

// m x n results from packed operands; each few panels of b meet all of a. Of four panels left, two
// tiles of two: one of one panel has too few sums to keep the processor busy.
void tiles(std::int64_t m, std::int64_t n, const Pair* a, const Pair* b, const Target& target,
           Aheads& ahead) {
  constexpr decltype(&tile<1>) kTiles[] = {tile<1>, tile<2>, tile<3>};
  for (std::int64_t panels, j = 0; j < n; j += panels * kPanel) {
    const std::int64_t left = blocks(n - j, kPanel);
    panels = left == 4 ? 2 : std::min(left, kTilePanels);
    for (std::int64_t i = 0; i < m; i += kTileRows) {
      const Pair* const rows = a + i / kPanel * kPanel * target.pairs + i % kPanel;
      Target part = target;
      part.c += i * target.stride + j;
      kTiles[panels - 1](rows, b + j * target.pairs, part, std::min(kTileRows, m - i),
                         std::min(panels * kPanel, n - j), ahead);
    }
  }
}

}  // namespace
}  // namespace azr
