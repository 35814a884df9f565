// Tiles of a bf16 product by AMX (Intel's SDM volume 1, chapter 18): a register holds 16 rows of 64
// bytes, and one instruction adds the product of two of them to a third.
//
// 32 x 32 results stay in four registers while their sum runs: four products for four loads. The
// right operand's panels are what the instruction takes; of the left one it takes rows, so that a
// panel of it holds 16 rows of 16 pairs, then the next 16 pairs.
//
// At the head's shapes, 256 tokens at a time, this runs at 1.1 to 1.7 Tflop/s (Intel Emerald
// Rapids, two cores), 7 to 11 times the rate of AVX-512's dot products there and a quarter of that
// of instructions alone. To write logits was half of their time before they were fetched ahead.
#pragma once

#include "cpu/bf16_ahead.h"
#include "cpu/bf16_panels.h"

namespace azr {
namespace {

constexpr std::int64_t kTileRows = 32, kTileColumns = 32;
constexpr std::int64_t kRegister = kPanel * kStep, kRowBytes = 64;  // pairs of one; of its rows
constexpr int kFetches = 4;  // per step, often enough to fetch all in time
static_assert(kStep == 16);

// The instructions, for registers given by number.
template <int kTo>
void load(const void* from, std::int64_t row_bytes) {
  asm volatile("tileloadd (%1,%2), %%tmm%c0" : : "i"(kTo), "r"(from), "r"(row_bytes) : "memory");
}

template <int kFrom>
void store(void* to, std::int64_t row_bytes) {
  asm volatile("tilestored %%tmm%c0, (%1,%2)" : : "i"(kFrom), "r"(to), "r"(row_bytes) : "memory");
}

template <int kTo>
void clear() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTo));
}

template <int kSum, int kLeft, int kRight>
void add_product() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kLeft), "i"(kRight));
}

// A thread's tile registers, all of 16 x 64 bytes.
class TileRegisters {
 public:
  TileRegisters() {
    constexpr int kPalette = 1, kRegisters = 8;
    struct alignas(64) {
      std::uint8_t palette = kPalette, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } config;
    static_assert(sizeof config == 64);
    std::fill_n(config.row_bytes, kRegisters, 64);
    std::fill_n(config.rows, kRegisters, 16);
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  ~TileRegisters() { asm volatile("tilerelease"); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

inline void copy_rows(const Bf16Operand& from, std::int64_t rows, std::int64_t depth, Pair* to) {
  for (std::int64_t k = 0; k < depth; k += 2 * kStep, to += kRegister) {
    const auto mask = lanes<__mmask32>(depth - k);
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < kPanel; ++i) {
      const auto read = i < rows ? mask : __mmask32{0};
      _mm512_store_si512(to + i * kStep,
                         _mm512_maskz_loadu_epi16(read, from.data + i * from.outer + k));
    }
  }
}

inline void transpose_register(Pair* pairs) {
  __m512i x[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = _mm512_load_si512(pairs + i * kStep);
  transpose(x);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_store_si512(pairs + i * kStep, x[i]);
}

// As `pack`, for the left operand.
inline void pack_left(const Bf16Operand& from, std::int64_t begin, std::int64_t count,
                      std::int64_t k, std::int64_t depth, Pair* to) {
  const std::int64_t panel_size = pairs_of(depth) * kPanel;
  if (from.inner == 1) {
    const BFloat16* data = from.data + begin * from.outer + k;
    for (std::int64_t i = 0; i < count; i += kPanel, to += panel_size) {
      copy_rows({data + i * from.outer, from.outer, 1}, std::min(kPanel, count - i), depth, to);
    }
    return;
  }
  pack(from, begin, count, k, depth, to);
  Pair* const end = to + blocks(count, kPanel) * panel_size;
  for (; to < end; to += kRegister) transpose_register(to);
}

// Of results that are only written: what is added to was read when its sums began.
constexpr int kRowsAtATime = 4;
inline void prefetch_rows(const float* row, std::int64_t stride, int panels) {
  for (int i = 0; i < kRowsAtATime; ++i, row += stride) {
    for (int j = 0; j < panels; ++j) __builtin_prefetch(row + j * kPanel, 1, 2);
  }
}

// 16 kRows x 16 kColumns results.
template <int kRows, int kColumns>
void tile(const Pair* a, const Pair* b, const Target& target, Aheads& ahead) {
  const auto each_sum = [&](const auto& body) {
    body.template operator()<0, 0>();
    if constexpr (kColumns > 1) body.template operator()<0, 1>();
    if constexpr (kRows > 1) body.template operator()<1, 0>();
    if constexpr (kRows > 1 && kColumns > 1) body.template operator()<1, 1>();
  };
  const auto part = [&](int i, int j) {
    return target.c + i * kPanel * target.stride + j * kPanel;
  };
  const std::int64_t c_bytes = sizeof(float) * target.stride, panel = target.pairs * kPanel;
  const float* const end = part(kRows, 0);
  each_sum([&]<int i, int j>() {
    target.add ? load<2 * i + j>(part(i, j), c_bytes) : clear<2 * i + j>();
  });
  float* row = target.c;
  for (std::int64_t p = 0; p < panel; p += kRegister) {
    if (!target.add && row < end) {
      prefetch_rows(row, target.stride, kColumns);
      row += kRowsAtATime * target.stride;
    }
    for (int i = 0; i < kFetches; ++i) ahead.fetch();
    load<4>(a + p, kRowBytes);
    load<6>(b + p, kRowBytes);
    if constexpr (kColumns > 1) load<7>(b + panel + p, kRowBytes);
    if constexpr (kRows > 1) load<5>(a + panel + p, kRowBytes);
    each_sum([&]<int i, int j>() { add_product<2 * i + j, 4 + i, 6 + j>(); });
  }
  each_sum([&]<int i, int j>() { store<2 * i + j>(part(i, j), c_bytes); });
}

inline void copy(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride,
                 std::int64_t rows, std::int64_t columns) {
  for (std::int64_t i = 0; i < rows; ++i) {
    std::copy_n(from + i * from_stride, columns, to + i * to_stride);
  }
}

// A tile at the edge of the results: fewer than its registers hold, so by way of memory that has
// room for all.
template <int kRows, int kColumns>
void edge_tile(const Pair* a, const Pair* b, const Target& target, std::int64_t rows,
               std::int64_t columns, Aheads& ahead) {
  alignas(64) float all[kTileRows * kTileColumns] = {};
  if (target.add) copy(target.c, target.stride, all, kTileColumns, rows, columns);
  tile<kRows, kColumns>(a, b, {all, kTileColumns, target.pairs, target.add}, ahead);
  copy(all, kTileColumns, target.c, target.stride, rows, columns);
}

template <int kRows, int kColumns>
void any_tile(const Pair* a, const Pair* b, const Target& target, std::int64_t rows,
              std::int64_t columns, Aheads& ahead) {
  if (rows < kRows * kPanel || columns < kColumns * kPanel) {
    return edge_tile<kRows, kColumns>(a, b, target, rows, columns, ahead);
  }
  tile<kRows, kColumns>(a, b, target, ahead);
}

// m x n results from packed operands; two panels of b meet all of a.
inline void tiles(std::int64_t m, std::int64_t n, const Pair* a, const Pair* b,
                  const Target& target, Aheads& ahead) {
  constexpr decltype(&any_tile<1, 1>) kTiles[2][2] = {{any_tile<1, 1>, any_tile<1, 2>},
                                                      {any_tile<2, 1>, any_tile<2, 2>}};
  for (std::int64_t j = 0; j < n; j += kTileColumns) {
    const std::int64_t columns = std::min(kTileColumns, n - j);
    for (std::int64_t i = 0; i < m; i += kTileRows) {
      const std::int64_t rows = std::min(kTileRows, m - i);
      Target part = target;
      part.c += i * target.stride + j;
      kTiles[rows > kPanel][columns > kPanel](a + i * target.pairs, b + j * target.pairs, part,
                                              rows, columns, ahead);
    }
  }
}

}  // namespace
}  // namespace azr
