// One block walks one row and keeps three fp32 numbers per thread, each relative to the thread's
// own maximum; warps merge them by shuffles and the block through shared memory, always in the same
// order: two runs are bitwise equal. Vectors of 128 bits begin at the first aligned element of the
// row, four of them under way per thread; what lies before and behind is read one by one.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/selective_logprob.h"

namespace azr::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kUnroll = 4;           // vectors under way in a thread
constexpr float kLowest = -3.0e38f;  // finite: its differences are no nan
constexpr float kLog2e = 1.4426950408889634f;

struct Numbers {
  float top = kLowest;
  float total = 0;   // sum of e^((x - top) scale)
  float moment = 0;  // sum of e^((x - top) scale) (x - top)
};

__device__ float to_float(float x) { return x; }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ float to_float(__half x) { return __half2float(x); }

// Relative to a higher top; k = log2(e) scale.
__device__ void raise(Numbers& numbers, float top, float k) {
  const float drop = numbers.top - top;
  const float keep = exp2f(drop * k);
  numbers.moment = keep * (numbers.moment + numbers.total * drop);
  numbers.total *= keep;
  numbers.top = top;
}

template <int kCount>
__device__ void add(Numbers& numbers, const float (&x)[kCount], float k) {
  float top = numbers.top;
#pragma unroll
  for (int i = 0; i < kCount; ++i) top = fmaxf(top, x[i]);
  raise(numbers, top, k);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float below = x[i] - top;
    const float e = exp2f(below * k);
    numbers.total += e;                           // nan shows here
    numbers.moment += e * fmaxf(below, kLowest);  // a logit of -inf adds 0
  }
}

__device__ Numbers merge(Numbers a, Numbers b, float k) {
  const float top = fmaxf(a.top, b.top);
  raise(a, top, k);
  raise(b, top, k);
  return {top, a.total + b.total, a.moment + b.moment};
}

__device__ Numbers merge_warp(Numbers mine, float k) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const Numbers other = {__shfl_down_sync(~0u, mine.top, lanes),
                           __shfl_down_sync(~0u, mine.total, lanes),
                           __shfl_down_sync(~0u, mine.moment, lanes)};
    mine = merge(mine, other, k);
  }
  return mine;  // of the whole warp in its first lane
}

template <class Logit>
__device__ void add_one(Numbers& numbers, const Logit* at, float k) {
  const float x[1] = {to_float(*at)};
  add(numbers, x, k);
}

// Adds kVectors vectors that lie `apart` vectors from each other.
template <class Logit, int kVectors>
__device__ void add_vectors(Numbers& numbers, const int4* at, int apart, float k) {
  constexpr int kWidth = sizeof(int4) / sizeof(Logit);
  int4 raw[kVectors];
#pragma unroll
  for (int i = 0; i < kVectors; ++i) raw[i] = __ldcs(at + i * apart);  // read once: no caching
  float x[kVectors * kWidth];
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const auto* const logits = reinterpret_cast<const Logit*>(&raw[i]);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) x[i * kWidth + j] = to_float(logits[j]);
  }
  add(numbers, x, k);
}

// The numbers of what this thread reads of the row.
template <class Logit>
__device__ Numbers walk(const Logit* row, std::int64_t vocabulary, float k) {
  constexpr int kWidth = sizeof(int4) / sizeof(Logit);
  const int thread = static_cast<int>(threadIdx.x);
  const auto misplaced = reinterpret_cast<std::uintptr_t>(row) % sizeof(int4) / sizeof(Logit);
  std::int64_t head = (kWidth - static_cast<std::int64_t>(misplaced)) % kWidth;
  if (head > vocabulary) head = vocabulary;
  const std::int64_t vectors = (vocabulary - head) / kWidth;
  const auto* const aligned = reinterpret_cast<const int4*>(row + head);
  Numbers numbers;
  if (thread < head) add_one(numbers, row + thread, k);
  std::int64_t at = thread;
  for (; at + (kUnroll - 1) * kThreads < vectors; at += kUnroll * kThreads) {
    add_vectors<Logit, kUnroll>(numbers, aligned + at, kThreads, k);
  }
  for (; at < vectors; at += kThreads) add_vectors<Logit, 1>(numbers, aligned + at, kThreads, k);
  const std::int64_t tail = head + vectors * kWidth + thread;
  if (tail < vocabulary) add_one(numbers, row + tail, k);
  return numbers;
}

template <class Logit>
__global__ void __launch_bounds__(kThreads, 4) forward(Rows rows, Outputs outputs) {
  __shared__ Numbers of_warps[kWarps];
  const std::int64_t index = blockIdx.x;
  const std::int64_t target = rows.targets[index];
  if (target == rows.ignore_index) {
    if (threadIdx.x == 0) {
      outputs.logp[index] = outputs.entropy[index] = 0;
      outputs.top[index] = outputs.log_sum[index] = 0;
    }
    return;
  }
  const auto* const row = static_cast<const Logit*>(rows.logits) + index * rows.stride;
  const float scale = rows.scale[index];
  const float k = kLog2e * scale;
  const Numbers mine = merge_warp(walk(row, rows.vocabulary, k), k);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  Numbers all = of_warps[0];
  for (int i = 1; i < kWarps; ++i) all = merge(all, of_warps[i], k);
  const float log_sum = logf(all.total);
  outputs.logp[index] = (to_float(row[target]) - all.top) * scale - log_sum;
  outputs.entropy[index] = log_sum - all.moment * scale / all.total;
  outputs.top[index] = all.top;
  outputs.log_sum[index] = log_sum;
}

}  // namespace

template <class Logit>
cudaError_t selective_logprob(const Rows& rows, const Outputs& outputs, cudaStream_t stream) {
  if (rows.rows == 0) return cudaSuccess;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(rows.rows));
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, forward<Logit>, rows, outputs);
}

template cudaError_t selective_logprob<float>(const Rows&, const Outputs&, cudaStream_t);
template cudaError_t selective_logprob<__nv_bfloat16>(const Rows&, const Outputs&, cudaStream_t);
template cudaError_t selective_logprob<__half>(const Rows&, const Outputs&, cudaStream_t);

}  // namespace azr::cuda
