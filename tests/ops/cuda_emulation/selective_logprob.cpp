// csrc/cuda/selective_logprob.cu as a C function.
#include "cuda/selective_logprob.cu"  // NOLINT

extern "C" void selective_logprob(int dtype, const void* logits, std::int64_t stride,
                                  std::int64_t rows, std::int64_t vocabulary,
                                  const std::int64_t* targets, const float* scale,
                                  std::int64_t ignore_index, float* outputs) {
  using namespace azr::cuda;
  const Rows given{logits, stride, rows, vocabulary, targets, scale, ignore_index};
  const Outputs to{outputs, outputs + rows, outputs + 2 * rows, outputs + 3 * rows};
  if (dtype == 0) selective_logprob<float>(given, to, nullptr);
  if (dtype == 1) selective_logprob<__nv_bfloat16>(given, to, nullptr);
  if (dtype == 2) selective_logprob<__half>(given, to, nullptr);
}
