// What a bf16 product packs next is fetched while it sums.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/bf16_product.h"

namespace azr {
namespace {

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

}  // namespace
}  // namespace azr
