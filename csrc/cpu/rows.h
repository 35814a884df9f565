// Kernels over the rows of a chunk of logits, and the choice between their builds.
#pragma once

#include <cstdint>

namespace azr {

struct BFloat16 {
  std::uint16_t bits;
};

// One row per token. Every pointer is to the row's own element(s).
template <class Logit>
struct Row {
  Logit* logits;            // [vocabulary]
  std::int64_t vocabulary;  // at least 1
  std::int64_t target;      // in [0, vocabulary)
  float scale;              // 1 / temperature, applied to the logits before the softmax
  float coefficient;        // of log p(target) in the objective
  float entropy_weight;     // of the entropy in the objective
  float* logp;              // out, nats
  float* entropy;           // out, nats
};

// The functions of one build. `logprob` reads logits and writes logp alone; `policy_loss` also
// writes entropy and overwrites the logits with the gradient of
// -(coefficient * logp + entropy_weight * entropy).
struct RowKernels {
  const char* isa;
  void (*logprob_bf16)(const Row<BFloat16>&);
  void (*logprob_f32)(const Row<float>&);
  void (*policy_loss_bf16)(const Row<BFloat16>&);
  void (*policy_loss_f32)(const Row<float>&);
};

// The fastest build that this processor can run, or the one that AZR_ISA in the environment names
// (for tests of the others). Throws std::invalid_argument when that one cannot run here.
const RowKernels& best_row_kernels();

}  // namespace azr
