// Bf16 products on processors with a dot product of bf16 pairs (AVX-512-BF16).
//
// Both operands are packed into panels (bf16_panels.h). A tile of 8 x 48 results stays in registers
// while its sum runs: 24 dot products for 3 vector loads and 8 broadcasts.
//
// At the head's shapes, 342 tokens at a time, this runs at 88 to 91% of the rate of dot products
// alone (AMD Zen 5, two cores) and takes 0.82 to 0.88 of the time of oneDNN's bf16 products, after
// which d weight would need a second pass to be summed in fp32. What is lost is packing, at the
// speed of memory, which `Ahead` hides in part.
#include "cpu/rows.h"

#ifdef __AVX512BF16__
// GCC 12 takes the intrinsics' own undefined operands for a fault of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <algorithm>
#include <atomic>
#include <vector>

#include "cpu/bf16_panels.h"
#include "cpu/parallel.h"

namespace azr {
namespace {

constexpr std::int64_t kTileRows = 8, kTileColumns = 48;
constexpr std::int64_t kTilePanels = kTileColumns / kPanel;
constexpr std::int64_t kDepth = 2048;      // summed per pass over the results
constexpr std::int64_t kLargestBlock = 4;  // tiles' columns that a thread packs at a time
constexpr std::int64_t kBlockSize = 131072;

// Memory that is packed next. Its lines come into the second-level cache one by one while sums run;
// all at once they would wait for each other, and packing for them.
class Ahead {
 public:
  Ahead() = default;
  Ahead(const Bf16Operand& from, std::int64_t begin, std::int64_t count, std::int64_t k,
        std::int64_t depth)
      : row_(reinterpret_cast<const char*>(from.data + begin * from.outer + k * from.inner)),
        stride_(2 * std::max(from.outer, from.inner)),
        rows_(from.inner == 1 ? count : depth),
        width_(2 * (from.inner == 1 ? depth : count)) {}

  void fetch() {
    if (rows_ <= 0) return;
    __builtin_prefetch(row_ + at_, 0, 2);
    at_ += kLine;
    if (at_ < width_) return;
    at_ = 0;
    row_ += stride_;
    --rows_;
  }

 private:
  static constexpr std::int64_t kLine = 64;
  const char* row_ = nullptr;
  std::int64_t stride_ = 0, rows_ = 0, width_ = 0, at_ = 0;  // bytes, but for rows_
};

// Of both operands.
struct Aheads {
  Ahead a, b;

  void fetch() {
    a.fetch();
    b.fetch();
  }
};

// Results of one call: where they go and how many pairs each sums.
struct Target {
  float* c;
  std::int64_t stride;
  std::int64_t pairs;
  bool add;
};

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

// A product as threads share it: the operand with fewer rows is packed by all for all, blocks of
// the other by whoever takes them.
struct Work {
  const Bf16Product& x;
  const bool share_a = x.m < x.n;
  const Bf16Operand& shared = share_a ? x.a : x.b;
  const Bf16Operand& blocked = share_a ? x.b : x.a;
  const std::int64_t few = std::min(x.m, x.n), many = std::max(x.m, x.n);
  const std::int64_t depth = std::min(x.depth, kDepth);  // of one pass
  const std::int64_t block =
      kTileColumns * std::clamp<std::int64_t>(kBlockSize / depth / kTileColumns, 1, kLargestBlock);

  void pack_shared(std::int64_t tile, std::int64_t k, Pair* to) const {
    const std::int64_t begin = tile * kTileColumns, part = std::min(depth, x.depth - k);
    pack(shared, begin, std::min(kTileColumns, few - begin), k, part, to + begin * blocks(part, 2));
  }

  Aheads ahead(std::int64_t index, std::int64_t k) const {
    const std::int64_t begin = index * block, count = std::min(block, many - begin);
    return {{blocked, begin, count, k, std::min(depth, x.depth - k)}, {}};
  }

  void compute(std::int64_t index, std::int64_t k, const Pair* packed, Pair* own,
               Aheads ahead) const {
    const std::int64_t begin = index * block, count = std::min(block, many - begin);
    const std::int64_t part = std::min(depth, x.depth - k), pairs = blocks(part, 2);
    pack(blocked, begin, count, k, part, own);
    const std::int64_t offset = begin * (share_a ? 1 : x.c_stride);
    const Target target{x.c + offset, x.c_stride, pairs, x.add || k > 0};
    share_a ? tiles(few, count, packed, own, target, ahead)
            : tiles(count, few, own, packed, target, ahead);
  }
};

void run(const Work& work, std::int64_t threads) {
  const std::int64_t pairs = blocks(work.depth, 2), tasks = blocks(work.many, work.block);
  threads = std::min(threads, tasks);
  const Panels packed = new_panels(work.few, pairs);
  const Panels own = new_panels(work.block * threads, pairs);
  std::vector<std::atomic<std::int64_t>> next(2 * blocks(work.x.depth, kDepth));
  on_threads(threads, [&](std::int64_t worker) {
    auto turn = next.begin();
    for (std::int64_t k = 0; k < work.x.depth; k += kDepth) {
      take_turns<1>(*turn++, blocks(work.few, kTileColumns),
                    [&](std::int64_t i) { work.pack_shared(i, k, packed.get()); });
#pragma omp barrier
      std::atomic<std::int64_t>& blocks_taken = *turn++;
      for (std::int64_t now = blocks_taken++, then; now < tasks; now = then) {
        then = blocks_taken++;
        work.compute(now, k, packed.get(), own.get() + worker * work.block * pairs,
                     then < tasks ? work.ahead(then, k) : Aheads());
      }
#pragma omp barrier
    }
  });
}

// Few results of long sums: a part of the rows and columns, which waits for no other part.
struct LongSums {
  static constexpr std::int64_t kLength = 1024;        // of one pass
  static constexpr std::int64_t kRows = kTileColumns;  // packed at a time
  const Bf16Product& x;
  std::int64_t rows_begin, rows, columns_begin, columns;

  void pass(std::int64_t k, Pair* a, Pair* b) const {
    const std::int64_t part = std::min(kLength, x.depth - k);
    const std::int64_t next = std::min(kLength, x.depth - k - part);
    pack(x.b, columns_begin, columns, k, part, b);
    Aheads ahead{{}, {x.b, columns_begin, columns, k + part, next}};
    for (std::int64_t i = 0; i < rows; i += kRows) {
      const std::int64_t count = std::min(kRows, rows - i), left = rows - i - count;
      pack(x.a, rows_begin + i, count, k, part, a);
      ahead.a = left > 0 ? Ahead(x.a, rows_begin + i + count, std::min(kRows, left), k, part)
                         : Ahead(x.a, rows_begin, std::min(kRows, rows), k + part, next);
      float* const c = x.c + (rows_begin + i) * x.c_stride + columns_begin;
      tiles(count, columns, a, b, {c, x.c_stride, blocks(part, 2), x.add || k > 0}, ahead);
    }
  }

  void run() const {
    const Panels a = new_panels(kRows, kLength / 2), b = new_panels(columns, kLength / 2);
    for (std::int64_t k = 0; k < x.depth; k += kLength) pass(k, a.get(), b.get());
  }
};

void run_long_sums(const Bf16Product& x, std::int64_t threads) {
  // As many parts of the columns as leave each 96: all of them pack all of a.
  std::int64_t across = std::min(threads, blocks(x.n, 2 * kTileColumns));
  while (threads % across != 0) --across;
  const std::int64_t columns = blocks(blocks(x.n, kPanel), across) * kPanel;
  const std::int64_t rows = blocks(blocks(x.m, kTileRows), threads / across) * kTileRows;
  std::atomic<std::int64_t> next = 0;
  on_threads(threads, [&](std::int64_t) {
    take_turns<1>(next, threads, [&](std::int64_t part) {
      const std::int64_t i = part / across * rows, j = part % across * columns;
      if (i >= x.m || j >= x.n) return;
      LongSums{x, i, std::min(rows, x.m - i), j, std::min(columns, x.n - j)}.run();
    });
  });
}

}  // namespace

void AZR_ISA::bf16_product(const Bf16Product& product, int threads) {
  if (product.m == 0 || product.n == 0) return;
  if (product.depth > std::max({kDepth, product.m, product.n})) {
    return run_long_sums(product, threads);
  }
  if (product.depth > 0) return run({product}, threads);
  for (std::int64_t i = 0; i < (product.add ? 0 : product.m); ++i) {
    std::fill_n(product.c + i * product.c_stride, product.n, 0.0f);
  }
}

}  // namespace azr
#endif
