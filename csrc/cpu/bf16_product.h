// Products of bf16 matrices with sums and results in fp32, which torch does not have on a CPU.
#pragma once

#include <cstdint>

namespace azr {

struct BFloat16 {
  std::uint16_t bits;
};

// Element (i, k), where k is summed over, lies at data[i * outer + k * inner]; one stride is 1.
struct Bf16Operand {
  const BFloat16* data;
  std::int64_t outer;
  std::int64_t inner;
};

// c[i][j] (+)= sum over k of a(i, k) b(j, k) for i < m, j < n, k < depth. Each sum runs in the same
// order whatever the number of threads.
struct Bf16Product {
  std::int64_t m, n, depth;
  Bf16Operand a, b;
  float* c;
  std::int64_t c_stride;  // from row to row
  bool add;
};

}  // namespace azr
