// CUDA on a CPU, as much of it as csrc/cuda asks for: the threads of a block are threads here and
// blocks run one after the other. For tests of results, where nothing tells of speed.
#pragma once

#include <array>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __shared__ static  // one block at a time
#define __launch_bounds__(...)

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0 };

struct dim3 {
  explicit dim3(unsigned x_ = 1) : x(x_) {}
  unsigned x;
};

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  cudaStream_t stream;
};

struct alignas(16) int4 {
  int x, y, z, w;
};

namespace emulation {

struct Warp {
  std::barrier<> lanes{32};
  std::array<float, 32> values{};
};

inline thread_local Warp* warp = nullptr;
inline std::unique_ptr<std::barrier<>> block;

}  // namespace emulation

inline thread_local dim3 threadIdx;
inline thread_local dim3 blockIdx;

inline void __syncthreads() { emulation::block->arrive_and_wait(); }

inline float __shfl_down_sync(unsigned, float value, int lanes) {
  emulation::Warp& warp = *emulation::warp;
  const unsigned lane = threadIdx.x % 32;
  warp.values[lane] = value;
  warp.lanes.arrive_and_wait();
  const float other = lane + lanes < 32 ? warp.values[lane + lanes] : value;
  warp.lanes.arrive_and_wait();
  return other;
}

// A vector that is not aligned would be a fault on a GPU.
inline int4 __ldcs(const int4* at) {
  if (reinterpret_cast<std::uintptr_t>(at) % sizeof(int4) != 0) std::abort();
  int4 value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class Kernel, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, Kernel kernel,
                               Arguments... arguments) {
  const unsigned threads = config->blockDim.x;
  for (unsigned index = 0; index < config->gridDim.x; ++index) {
    emulation::block = std::make_unique<std::barrier<>>(threads);
    std::vector<emulation::Warp> warps(threads / 32);
    std::vector<std::jthread> others;
    for (unsigned thread = 0; thread < threads; ++thread) {
      others.emplace_back([&, thread] {
        blockIdx = dim3(index);
        threadIdx = dim3(thread);
        emulation::warp = &warps[thread / 32];
        kernel(arguments...);
      });
    }
  }
  return cudaSuccess;
}
