// The Python module azr_fast._kernels_cuda: DLPack arrays of a GPU in, shapes checked, kernels
// launched on a stream of the caller's.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <limits>
#include <stdexcept>
#include <string>

#include "cuda/selective_logprob.h"

namespace nb = nanobind;

namespace {

using Logits = nb::ndarray<nb::ndim<2>, nb::device::cuda>;
using Targets = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cuda>;
using Floats = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cuda>;

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

bool is(const Logits& logits, nb::dlpack::dtype_code code, int bits) {
  return logits.dtype() ==
         nb::dlpack::dtype{static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1};
}

// The current device, on which kernels are launched, is the arrays' while one of these lives.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    cudaGetDevice(&before_);
    cudaSetDevice(device);
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

cudaError_t launch(const Logits& logits, const azr::cuda::Rows& rows,
                   const azr::cuda::Outputs& outputs, cudaStream_t stream) {
  using nb::dlpack::dtype_code;
  if (is(logits, dtype_code::Bfloat, 16)) {
    return azr::cuda::selective_logprob<__nv_bfloat16>(rows, outputs, stream);
  }
  if (is(logits, dtype_code::Float, 16)) {
    return azr::cuda::selective_logprob<__half>(rows, outputs, stream);
  }
  require(is(logits, dtype_code::Float, 32), "logits must be float32, bfloat16 or float16");
  return azr::cuda::selective_logprob<float>(rows, outputs, stream);
}

void selective_forward(const Logits& logits, const Targets& targets, const Floats& scale,
                       std::int64_t ignore_index, const Floats& logp, const Floats& entropy,
                       const Floats& top, const Floats& log_sum, std::uintptr_t stream) {
  require(logits.shape(0) <= std::numeric_limits<std::int32_t>::max(), "too many rows");
  require(logits.shape(1) > 0, "logits have no columns");
  require(logits.stride(1) == 1, "columns of logits must be contiguous");
  require(targets.shape(0) == logits.shape(0), "one target per row of logits is needed");
  require(targets.device_id() == logits.device_id(), "all arrays must be on one GPU");
  for (const Floats* values : {&scale, &logp, &entropy, &top, &log_sum}) {
    require(values->shape(0) == logits.shape(0), "per-row arrays must have one element per row");
    require(values->device_id() == logits.device_id(), "all arrays must be on one GPU");
  }
  const azr::cuda::Rows rows{
      .logits = logits.data(),
      .stride = logits.stride(0),
      .rows = static_cast<std::int64_t>(logits.shape(0)),
      .vocabulary = static_cast<std::int64_t>(logits.shape(1)),
      .targets = targets.data(),
      .scale = scale.data(),
      .ignore_index = ignore_index,
  };
  const azr::cuda::Outputs outputs{logp.data(), entropy.data(), top.data(), log_sum.data()};
  const OnDevice device(logits.device_id());
  const cudaError_t error = launch(logits, rows, outputs, reinterpret_cast<cudaStream_t>(stream));
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string("selective_logprob: ") + cudaGetErrorString(error));
  }
}

}  // namespace

NB_MODULE(_kernels_cuda, module) {
  module.def("selective_forward", &selective_forward, nb::arg("logits").noconvert(),
             nb::arg("targets").noconvert(), nb::arg("scale").noconvert(), nb::arg("ignore_index"),
             nb::arg("logp").noconvert(), nb::arg("entropy").noconvert(),
             nb::arg("top").noconvert(), nb::arg("log_sum").noconvert(), nb::arg("stream"));
}
