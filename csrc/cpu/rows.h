// Kernels over rows of logits, one row per token, and the choice between their builds.
#pragma once

#include <cstdint>

#include "cpu/bf16_product.h"
#include "cpu/objective.h"

namespace azr {

using Float16 = _Float16;

template <class Logit>
struct Row {
  const Logit* logits;      // [vocabulary], however aligned
  std::int64_t vocabulary;  // at least 1
  std::int64_t target;      // in [0, vocabulary)
  float scale;              // 1 / temperature, applied to the logits before the softmax
};

// With y = (logit - top) * scale.
struct RowStatistics {
  float top;       // the largest logit
  float exp;       // sum of e^y
  float y_exp;     // sum of y e^y
  float target_y;  // y of the target
};

// A row's softmax: log p = y - log_sum.
struct RowSoftmax {
  float top;
  float log_sum;  // log of the sum of e^y
  float entropy;  // nats
};

// d loss / d log p(target) is -coefficient, d loss / d entropy is -entropy_coefficient.
struct Slopes {
  float coefficient;
  float entropy_coefficient;
};

// A token's loss, and the gradient of its row; `to` may begin where the row does.
template <class Logit, class Gradient>
using PolicyLoss = TokenResults(const Row<Logit>&, const Objective&, const Token&, Gradient* to);

// What one build has for a type of logits: `statistics` reads them, `gradient` writes d loss /
// d logits, `policy_loss` does both with the objective's terms in between.
template <class Logit>
struct RowKernels {
  RowStatistics (*statistics)(const Row<Logit>&);
  void (*gradient)(const Row<Logit>&, const RowSoftmax&, Slopes, Logit* to);
  PolicyLoss<Logit, Logit>* policy_loss;
};

struct Kernels {
  const char* isa;
  RowKernels<BFloat16> bf16;
  RowKernels<Float16> f16;
  RowKernels<float> f32;
  PolicyLoss<float, BFloat16>* policy_loss_f32_to_bf16;
  void (*bf16_product)(const Bf16Product&, int threads);  // null without AVX-512-BF16
};

// The fastest build that this processor can run, or the one that AZR_ISA in the environment names
// (for tests of the others). Throws std::invalid_argument when that one cannot run here.
const Kernels& best_kernels();

#ifdef AZR_ISA  // the templates of a build, each defined for all logits' types in its own file
namespace AZR_ISA {
template <class Logit>
RowStatistics statistics(const Row<Logit>& row);
template <class Logit, class Gradient>
void gradient(const Row<Logit>& row, const RowSoftmax& softmax, Slopes slopes, Gradient* to);
template <class Logit, class Gradient>
TokenResults policy_loss(const Row<Logit>& row, const Objective& objective, const Token& token,
                         Gradient* to);
void bf16_product(const Bf16Product& product, int threads);
}  // namespace AZR_ISA
#endif

}  // namespace azr
