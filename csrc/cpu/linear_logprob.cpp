// Statistics of a row of logits, from which log-probability and entropy follow: two passes, the
// first of which brings the row (96 KiB of 49,152 bf16 logits) into the second-level cache. Sums
// are fp32 over AZR_LANES x kUnroll partial sums.
#include "cpu/simd.h"

namespace azr {
namespace {

template <class Logit>
float largest(const Logit* logits, std::int64_t count) {
  Float best[kUnroll];
  for (Float& b : best) b = broadcast(-__builtin_inff());
  for_each_vector(count, [&](int k, std::int64_t at, int lanes) {
    const Float x = load_lanes(logits + at, lanes, -__builtin_inff());
    best[k] = x > best[k] ? x : best[k];
  });
  float top = best[0][0];
  for (const Float& b : best) {
    for (int i = 0; i < kLanes; ++i) top = b[i] > top ? b[i] : top;
  }
  return top;
}

}  // namespace

template <class Logit>
RowStatistics AZR_ISA::statistics(const Row<Logit>& row) {
  const float top = largest(row.logits, row.vocabulary);
  Float exp[kUnroll] = {}, y_exp[kUnroll] = {};
  for_each_vector(row.vocabulary, [&](int k, std::int64_t at, int lanes) {
    Float y = bounded((load_lanes(row.logits + at, lanes, top) - top) * row.scale);
    for (int i = lanes; i < kLanes; ++i) y[i] = -105.0f;  // beyond the row: e^y is exactly 0
    const Float e = exp_nonpositive(y);
    exp[k] += e;
    y_exp[k] += y * e;
  });
  return {.top = top,
          .exp = sum((exp[0] + exp[1]) + (exp[2] + exp[3])),
          .y_exp = sum((y_exp[0] + y_exp[1]) + (y_exp[2] + y_exp[3])),
          .target_y = (to_float(row.logits[row.target]) - top) * row.scale};
}

template RowStatistics AZR_ISA::statistics(const Row<BFloat16>&);
template RowStatistics AZR_ISA::statistics(const Row<Float16>&);
template RowStatistics AZR_ISA::statistics(const Row<float>&);

}  // namespace azr
