// Kernels over the rows of a chunk of logits, and the choice between their builds.
#pragma once

#include <cstdint>

namespace azr {

struct BFloat16 {
  std::uint16_t bits;
};

// One row per token.
template <class Logit>
struct Row {
  Logit* logits;            // [vocabulary]
  std::int64_t vocabulary;  // at least 1
  std::int64_t target;      // in [0, vocabulary)
  float scale;              // 1 / temperature, applied to the logits before the softmax
};

// With y = scaled logit - shift.
struct RowStatistics {
  float shift;     // the largest scaled logit
  float exp;       // sum of e^y
  float y_exp;     // sum of y e^y
  float target_y;  // y of the target
};

// Of one row, in the objective coefficient * log p(target) + entropy_weight * entropy.
struct Objective {
  float coefficient;
  float entropy_weight;
};

// Nats.
struct TokenResult {
  float logp;
  float entropy;
};

// The functions of one build. `statistics` reads logits; `policy_loss` also overwrites them with
// the gradient of the negative objective.
struct RowKernels {
  const char* isa;
  RowStatistics (*statistics_bf16)(const Row<BFloat16>&);
  RowStatistics (*statistics_f32)(const Row<float>&);
  TokenResult (*policy_loss_bf16)(const Row<BFloat16>&, Objective);
  TokenResult (*policy_loss_f32)(const Row<float>&, Objective);
};

// The fastest build that this processor can run, or the one that AZR_ISA in the environment names
// (for tests of the others). Throws std::invalid_argument when that one cannot run here.
const RowKernels& best_row_kernels();

}  // namespace azr
