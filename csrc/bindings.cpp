// The Python module azr_fast._kernels: checks DLPack arrays and runs kernels without the GIL.
// Types and documentation for Python are in python/azr_fast/_kernels.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>
#include <string>

#include "cpu/parallel.h"
#include "cpu/rows.h"

namespace nb = nanobind;

namespace {

using Logits = nb::ndarray<nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Targets = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

bool is_bfloat16(const Logits& logits) {
  return logits.dtype() ==
         nb::dlpack::dtype{static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1};
}

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

void check(const Logits& logits, const Targets& targets, float scale, int threads) {
  require(is_bfloat16(logits) || logits.dtype() == nb::dtype<float>(),
          "logits must be bfloat16 or float32");
  require(targets.shape(0) == logits.shape(0), "one target per row of logits is needed");
  require(scale > 0, "scale must be positive");
  require(threads > 0, "threads must be positive");
  const auto vocabulary = static_cast<std::int64_t>(logits.shape(1));
  for (std::size_t i = 0; i < targets.shape(0); ++i) {
    require(targets.data()[i] >= 0 && targets.data()[i] < vocabulary,
            "a target lies outside the vocabulary");
  }
}

void check_length(const Floats& values, const Logits& logits) {
  require(values.shape(0) == logits.shape(0), "per-row arrays must have one element per row");
}

template <class Logit>
using Kernel = void (*)(const azr::Row<Logit>&);

// What every row of a call shares, and where each row's values lie. Null for arrays not in use.
struct Columns {
  const std::int64_t* targets;
  const float* coefficient;
  const float* entropy_weight;
  float* logp;
  float* entropy;
};

template <class Logit>
void run(const Logits& logits, const Columns& columns, float scale, int threads,
         Kernel<Logit> kernel) {
  const auto rows = static_cast<std::int64_t>(logits.shape(0));
  const auto vocabulary = static_cast<std::int64_t>(logits.shape(1));
  auto* const data = static_cast<Logit*>(logits.data());
  const nb::gil_scoped_release unlocked;
  azr::parallel_for(rows, threads, [&](std::int64_t i) {
    kernel({.logits = data + i * vocabulary,
            .vocabulary = vocabulary,
            .target = columns.targets[i],
            .scale = scale,
            .coefficient = columns.coefficient ? columns.coefficient[i] : 0,
            .entropy_weight = columns.entropy_weight ? columns.entropy_weight[i] : 0,
            .logp = columns.logp + i,
            .entropy = columns.entropy ? columns.entropy + i : nullptr});
  });
}

void logprob_rows(const Logits& logits, const Targets& targets, float scale, const Floats& logp,
                  int threads) {
  check(logits, targets, scale, threads);
  check_length(logp, logits);
  const azr::RowKernels& kernels = azr::best_row_kernels();
  const Columns columns = {targets.data(), nullptr, nullptr, logp.data(), nullptr};
  if (is_bfloat16(logits)) {
    run(logits, columns, scale, threads, kernels.logprob_bf16);
  } else {
    run(logits, columns, scale, threads, kernels.logprob_f32);
  }
}

void policy_loss_rows(const Logits& logits, const Targets& targets, const Floats& coefficient,
                      const Floats& entropy_weight, float scale, const Floats& logp,
                      const Floats& entropy, int threads) {
  check(logits, targets, scale, threads);
  for (const Floats* values : {&coefficient, &entropy_weight, &logp, &entropy}) {
    check_length(*values, logits);
  }
  const azr::RowKernels& kernels = azr::best_row_kernels();
  const Columns columns = {targets.data(), coefficient.data(), entropy_weight.data(), logp.data(),
                           entropy.data()};
  if (is_bfloat16(logits)) {
    run(logits, columns, scale, threads, kernels.policy_loss_bf16);
  } else {
    run(logits, columns, scale, threads, kernels.policy_loss_f32);
  }
}

}  // namespace

// noconvert: what is written in place must be the caller's array, never a converted copy of it.
NB_MODULE(_kernels, module) {
  module.def("isa", [] { return azr::best_row_kernels().isa; });
  module.def("logprob_rows", &logprob_rows, nb::arg("logits").noconvert(), nb::arg("targets"),
             nb::arg("scale"), nb::arg("logp").noconvert(), nb::arg("threads"));
  module.def("policy_loss_rows", &policy_loss_rows, nb::arg("logits").noconvert(),
             nb::arg("targets"), nb::arg("coefficient"), nb::arg("entropy_weight"),
             nb::arg("scale"), nb::arg("logp").noconvert(), nb::arg("entropy").noconvert(),
             nb::arg("threads"));
}
