// Bf16 products on processors with a dot product of bf16 pairs (AVX-512-BF16).
//
// Both operands are packed into panels (bf16_panels.h), of which tiles of results are summed in
// registers: by AMX (bf16_tiles_amx.h) or by AVX-512's dot products (bf16_tiles_avx512.h).
#include "cpu/rows.h"

#ifdef __AVX512BF16__
// GCC 12 takes the intrinsics' own undefined operands for a fault of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <algorithm>
#include <atomic>
#include <vector>

#include "cpu/bf16_ahead.h"
#include "cpu/bf16_panels.h"
#include "cpu/parallel.h"
#ifdef __AMX_BF16__
#include "cpu/bf16_tiles_amx.h"
#else
#include "cpu/bf16_tiles_avx512.h"
#endif

namespace azr {
namespace {

constexpr std::int64_t kDepth = 2048;      // summed per pass over the results
constexpr std::int64_t kLargestBlock = 4;  // tiles' columns that a thread packs at a time
constexpr std::int64_t kBlockSize = 131072;

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
    (share_a ? pack_left : pack)(shared, begin, std::min(kTileColumns, few - begin), k, part,
                                 to + begin * pairs_of(part));
  }

  Aheads ahead(std::int64_t index, std::int64_t k) const {
    const std::int64_t begin = index * block, count = std::min(block, many - begin);
    return {{blocked, begin, count, k, std::min(depth, x.depth - k)}, {}};
  }

  void compute(std::int64_t index, std::int64_t k, const Pair* packed, Pair* own,
               Aheads ahead) const {
    const std::int64_t begin = index * block, count = std::min(block, many - begin);
    const std::int64_t part = std::min(depth, x.depth - k), pairs = pairs_of(part);
    (share_a ? pack : pack_left)(blocked, begin, count, k, part, own);
    const std::int64_t offset = begin * (share_a ? 1 : x.c_stride);
    const Target target{x.c + offset, x.c_stride, pairs, x.add || k > 0};
    share_a ? tiles(few, count, packed, own, target, ahead)
            : tiles(count, few, own, packed, target, ahead);
  }
};

void run(const Work& work, std::int64_t threads) {
  const std::int64_t pairs = pairs_of(work.depth), tasks = blocks(work.many, work.block);
  threads = std::min(threads, tasks);
  const Panels packed = new_panels(work.few, pairs);
  const Panels own = new_panels(work.block * threads, pairs);
  std::vector<std::atomic<std::int64_t>> next(2 * blocks(work.x.depth, kDepth));
  on_threads(threads, [&](std::int64_t worker) {
    const TileRegisters registers;
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
      pack_left(x.a, rows_begin + i, count, k, part, a);
      ahead.a = left > 0 ? Ahead(x.a, rows_begin + i + count, std::min(kRows, left), k, part)
                         : Ahead(x.a, rows_begin, std::min(kRows, rows), k + part, next);
      float* const c = x.c + (rows_begin + i) * x.c_stride + columns_begin;
      tiles(count, columns, a, b, {c, x.c_stride, pairs_of(part), x.add || k > 0}, ahead);
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
    const TileRegisters registers;
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
