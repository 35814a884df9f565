// The gradient of a row's loss by its logits, from the row's softmax. (The forward pass is the
// statistics of linear_logprob.cpp.)
#include "cpu/simd.h"

namespace azr {

// With p = e^(log p) and H the entropy, d loss / d logit is p (c + w (log p + H)) - c [target],
// times the scale. Written from the row's begin on, a narrower gradient never overtakes the logits.
template <class Logit, class Gradient>
void AZR_ISA::gradient(const Row<Logit>& row, const RowSoftmax& softmax, Slopes slopes,
                       Gradient* to) {
  const float slope = slopes.entropy_coefficient;
  const float constant = slopes.coefficient + slope * softmax.entropy;
  const auto unscaled = [&](Float x) {
    // Rounding can leave log p above 0 by an ulp or two, beyond what exp_nonpositive takes.
    Float logp = bounded((x - softmax.top) * row.scale - softmax.log_sum);
    logp = logp > 0 ? Float{} : logp;
    return exp_nonpositive(logp) * (slope * logp + constant);
  };
  const Float target = broadcast(to_float(row.logits[row.target]));
  const Float at_target = (unscaled(target) - slopes.coefficient) * row.scale;
  for_each_vector(row.vocabulary, [&](int, std::int64_t begin, int lanes) {
    if (lanes == kLanes) {
      store(to + begin, unscaled(load(row.logits + begin)) * row.scale);
    } else {
      store_some(to + begin, lanes, unscaled(load_some(row.logits + begin, lanes, 0)) * row.scale);
    }
  });
  store_some(to + row.target, 1, at_target);
}

template void AZR_ISA::gradient(const Row<BFloat16>&, const RowSoftmax&, Slopes, BFloat16*);
template void AZR_ISA::gradient(const Row<Float16>&, const RowSoftmax&, Slopes, Float16*);
template void AZR_ISA::gradient(const Row<float>&, const RowSoftmax&, Slopes, float*);
template void AZR_ISA::gradient(const Row<float>&, const RowSoftmax&, Slopes, BFloat16*);

}  // namespace azr
