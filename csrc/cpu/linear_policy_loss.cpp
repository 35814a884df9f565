// A token's loss and the gradient of its row of logits in one go, while the row is in the cache.
#include <cmath>

#include "cpu/simd.h"

namespace azr {
namespace {

// A term's exponent, clamped; beyond the clamp the term has no gradient. A nan stays one.
struct Exponent {
  float value;
  bool is_free;
};

Exponent clamped(float x) {
  constexpr float kLargest = 20;
  return {x > kLargest ? kLargest : x < -kLargest ? -kLargest : x, !(std::fabs(x) > kLargest)};
}

struct Surrogate {
  float value;
  float coefficient;  // minus its derivative by log p
  bool clipped;
};

Surrogate ppo_clip(float ratio, bool is_free, const Objective& objective, const Token& token) {
  const float inside = ratio < token.lowest    ? token.lowest
                       : ratio > token.highest ? token.highest
                                               : ratio;
  const float free = ratio * token.advantage, bounded = inside * token.advantage;
  const float floor = token.advantage < 0 ? objective.dual * token.advantage : -__builtin_inff();
  const bool clipped = free > bounded || free < floor || !is_free;
  const float least = free > bounded ? bounded : free;
  return {-(least < floor ? floor : least), clipped ? 0 : free, clipped};
}

Surrogate surrogate(float logp, const Objective& objective, const Token& token) {
  if (objective.correction == Correction::none) {
    return {-token.advantage * logp, token.advantage, false};
  }
  const auto [exponent, is_free] = clamped(logp - token.behaviour_logp);
  const float ratio = std::exp(exponent);
  if (objective.correction == Correction::clip) {
    return ppo_clip(ratio, is_free, objective, token);
  }
  const bool capped = ratio > objective.cap;
  const float coefficient = (capped ? objective.cap : ratio) * token.advantage;
  return {-coefficient * logp, coefficient, capped};
}

TokenResults terms(float logp, float entropy, const Objective& objective, const Token& token) {
  const auto [value, coefficient, clipped] = surrogate(logp, objective, token);
  const auto [away, is_free] = clamped(token.reference_logp - logp);
  const float pull = std::expm1(away);  // minus the derivative of k3 by log p
  const float k3 = objective.has_reference ? pull - away : 0;
  return {
      .logp = logp,
      .entropy = entropy,
      .loss = token.weight * (value + objective.kl_weight * k3 - token.entropy_weight * entropy),
      .coefficient = token.weight * (coefficient + objective.kl_weight * (is_free ? pull : 0)),
      .k3 = k3,
      .clipped = clipped ? 1.0f : 0.0f};
}

}  // namespace

template <class Logit, class Gradient>
TokenResults AZR_ISA::policy_loss(const Row<Logit>& row, const Objective& objective,
                                  const Token& token, Gradient* to) {
  const RowStatistics sums = statistics(row);
  const float log_sum = std::log(sums.exp), entropy = log_sum - sums.y_exp / sums.exp;
  const TokenResults results = terms(sums.target_y - log_sum, entropy, objective, token);
  const Slopes slopes{results.coefficient, token.weight * token.entropy_weight};
  gradient(row, {.top = sums.top, .log_sum = log_sum, .entropy = entropy}, slopes, to);
  return results;
}

namespace AZR_ISA {
template TokenResults policy_loss(const Row<BFloat16>&, const Objective&, const Token&, BFloat16*);
template TokenResults policy_loss(const Row<Float16>&, const Objective&, const Token&, Float16*);
template TokenResults policy_loss(const Row<float>&, const Objective&, const Token&, float*);
template TokenResults policy_loss(const Row<float>&, const Objective&, const Token&, BFloat16*);
}  // namespace AZR_ISA

}  // namespace azr
