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

void check_length(const Floats& values, const Logits& logits) {
  require(values.shape(0) == logits.shape(0), "per-row arrays must have one element per row");
}

void check(const Logits& logits, const Targets& targets, const Floats& scale, int threads) {
  require(is_bfloat16(logits) || logits.dtype() == nb::dtype<float>(),
          "logits must be bfloat16 or float32");
  require(targets.shape(0) == logits.shape(0), "one target per row of logits is needed");
  check_length(scale, logits);
  require(threads > 0, "threads must be positive");
  const auto vocabulary = static_cast<std::int64_t>(logits.shape(1));
  for (std::size_t i = 0; i < targets.shape(0); ++i) {
    require(targets.data()[i] >= 0 && targets.data()[i] < vocabulary,
            "a target lies outside the vocabulary");
    require(scale.data()[i] > 0, "scale must be positive");
  }
}

// Calls body(row, i) for every row i, without the GIL.
template <class Logit, class Body>
void for_each_row(const Logits& logits, const Targets& targets, const Floats& scale, int threads,
                  const Body& body) {
  const auto rows = static_cast<std::int64_t>(logits.shape(0));
  const auto vocabulary = static_cast<std::int64_t>(logits.shape(1));
  auto* const data = static_cast<Logit*>(logits.data());
  const nb::gil_scoped_release unlocked;
  azr::parallel_for(rows, threads, [&](std::int64_t i) {
    body(azr::Row<Logit>{.logits = data + i * vocabulary,
                         .vocabulary = vocabulary,
                         .target = targets.data()[i],
                         .scale = scale.data()[i]},
         i);
  });
}

void statistics_rows(const Logits& logits, const Targets& targets, const Floats& scale,
                     const Floats& shift, const Floats& exp, const Floats& y_exp,
                     const Floats& target_y, int threads) {
  check(logits, targets, scale, threads);
  for (const Floats* values : {&shift, &exp, &y_exp, &target_y}) check_length(*values, logits);
  const auto run = [&]<class Logit>(azr::RowStatistics (*kernel)(const azr::Row<Logit>&)) {
    for_each_row<Logit>(logits, targets, scale, threads, [&](const auto& row, std::int64_t i) {
      const azr::RowStatistics result = kernel(row);
      shift.data()[i] = result.shift;
      exp.data()[i] = result.exp;
      y_exp.data()[i] = result.y_exp;
      target_y.data()[i] = result.target_y;
    });
  };
  const azr::RowKernels& kernels = azr::best_row_kernels();
  is_bfloat16(logits) ? run(kernels.statistics_bf16) : run(kernels.statistics_f32);
}

void policy_loss_rows(const Logits& logits, const Targets& targets, const Floats& coefficient,
                      const Floats& entropy_weight, const Floats& scale, const Floats& logp,
                      const Floats& entropy, int threads) {
  check(logits, targets, scale, threads);
  for (const Floats* values : {&coefficient, &entropy_weight, &logp, &entropy}) {
    check_length(*values, logits);
  }
  const auto run =
      [&]<class Logit>(azr::TokenResult (*kernel)(const azr::Row<Logit>&, azr::Objective)) {
        for_each_row<Logit>(logits, targets, scale, threads, [&](const auto& row, std::int64_t i) {
          const auto [token_logp, token_entropy] =
              kernel(row, {coefficient.data()[i], entropy_weight.data()[i]});
          logp.data()[i] = token_logp;
          entropy.data()[i] = token_entropy;
        });
      };
  const azr::RowKernels& kernels = azr::best_row_kernels();
  is_bfloat16(logits) ? run(kernels.policy_loss_bf16) : run(kernels.policy_loss_f32);
}

}  // namespace

// noconvert: what is written in place must be the caller's array, never a converted copy of it.
NB_MODULE(_kernels, module) {
  module.def("isa", [] { return azr::best_row_kernels().isa; });
  module.def("statistics_rows", &statistics_rows, nb::arg("logits").noconvert(), nb::arg("targets"),
             nb::arg("scale"), nb::arg("shift").noconvert(), nb::arg("exp").noconvert(),
             nb::arg("y_exp").noconvert(), nb::arg("target_y").noconvert(), nb::arg("threads"));
  module.def("policy_loss_rows", &policy_loss_rows, nb::arg("logits").noconvert(),
             nb::arg("targets"), nb::arg("coefficient"), nb::arg("entropy_weight"),
             nb::arg("scale"), nb::arg("logp").noconvert(), nb::arg("entropy").noconvert(),
             nb::arg("threads"));
}
