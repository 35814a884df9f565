// Log-probability and entropy of one target per row of logits, on a GPU. What is written is what
// azr_fast.ops.selective_logprob.Rows.forward writes.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace azr::cuda {

// Rows of logits with a column stride of 1; pointers are to device memory. A target that equals
// `ignore_index` gives zeros; any other must lie in the vocabulary.
struct Rows {
  const void* logits;
  std::int64_t stride;  // elements
  std::int64_t rows;
  std::int64_t vocabulary;
  const std::int64_t* targets;
  const float* scale;  // 1 / temperature
  std::int64_t ignore_index;
};

struct Outputs {
  float* logp;     // nats
  float* entropy;  // nats
  float* top;      // a row's largest logit
  float* log_sum;  // ln sum(e^((logit - top) scale))
};

// Logit is float, __nv_bfloat16 or __half.
template <class Logit>
cudaError_t selective_logprob(const Rows& rows, const Outputs& outputs, cudaStream_t stream);

}  // namespace azr::cuda
