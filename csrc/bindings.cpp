// The Python module azr_fast._kernels: checks DLPack arrays and runs kernels without the GIL.
// Types and documentation for Python are in python/azr_fast/_kernels.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <stdexcept>

#include "cpu/group_advantage.h"
#include "cpu/parallel.h"
#include "cpu/rows.h"

namespace nb = nanobind;

namespace {

using Matrix = nb::ndarray<nb::ndim<2>, nb::device::cpu>;
using Result = nb::ndarray<float, nb::ndim<2>, nb::device::cpu>;
using Logits = Matrix;
using Table = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T>
using Column = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = Column<float>;
using Ids = Column<const std::int64_t>;

constexpr nb::dlpack::dtype kBFloat16{static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat), 16,
                                      1};
constexpr nb::dlpack::dtype kFloat16{static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float), 16,
                                     1};
constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();  // a target that is none

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

// Calls function(kernels) with the kernels for the logits' type.
template <class Function>
void with_kernels(const Logits& logits, const Function& function) {
  const azr::Kernels& kernels = azr::best_kernels();
  if (logits.dtype() == kBFloat16) return function(kernels.bf16);
  if (logits.dtype() == kFloat16) return function(kernels.f16);
  require(logits.dtype() == nb::dtype<float>(), "logits must be bfloat16, float16 or float32");
  function(kernels.f32);
}

void check(const Logits& logits, const Ids& targets, const Floats& scale, std::int64_t ignored,
           std::initializer_list<const Floats*> others, int threads) {
  const std::size_t rows = logits.shape(0);
  const auto vocabulary = static_cast<std::int64_t>(logits.shape(1));
  require(logits.stride(1) == 1 || vocabulary == 1, "columns of logits must be contiguous");
  require(targets.shape(0) == rows, "one target per row of logits is needed");
  bool fits = scale.shape(0) == rows;
  for (const Floats* values : others) fits = fits && values->shape(0) == rows;
  require(fits, "per-row arrays must have one element per row");
  require(threads > 0, "threads must be positive");
  for (std::size_t i = 0; i < rows; ++i) {
    const std::int64_t target = targets.data()[i];
    require(target == ignored || (target >= 0 && target < vocabulary),
            "a target lies outside the vocabulary");
    require(scale.data()[i] > 0, "scale must be positive");
  }
}

// Calls body(row, i) for every row i, without the GIL.
template <class Logit, class Body>
void for_each_row(const Logits& logits, const Ids& targets, const Floats& scale, int threads,
                  const Body& body) {
  const auto* const data = static_cast<const Logit*>(logits.data());
  const auto rows = static_cast<std::int64_t>(logits.shape(0));
  const auto vocabulary = static_cast<std::int64_t>(logits.shape(1));
  const nb::gil_scoped_release unlocked;
  azr::parallel_for(rows, threads, [&](std::int64_t i) {
    body(azr::Row<Logit>{.logits = data + i * logits.stride(0),
                         .vocabulary = vocabulary,
                         .target = targets.data()[i],
                         .scale = scale.data()[i]},
         i);
  });
}

void statistics_rows(const Logits& logits, const Ids& targets, const Floats& scale,
                     const Floats& shift, const Floats& exp, const Floats& y_exp,
                     const Floats& target_y, int threads) {
  check(logits, targets, scale, kNone, {&shift, &exp, &y_exp, &target_y}, threads);
  with_kernels(logits, [&]<class Logit>(const azr::RowKernels<Logit>& kernels) {
    for_each_row<Logit>(logits, targets, scale, threads, [&](const auto& row, std::int64_t i) {
      const azr::RowStatistics result = kernels.statistics(row);
      shift.data()[i] = result.top * row.scale;
      exp.data()[i] = result.exp;
      y_exp.data()[i] = result.y_exp;
      target_y.data()[i] = result.target_y;
    });
  });
}

// Column `i` of a table whose rows are the fields of Struct, floats all, in their order.
template <class Struct>
Struct gather(const Table& table, std::int64_t i) {
  std::array<float, sizeof(Struct) / sizeof(float)> fields;
  for (std::size_t k = 0; k < fields.size(); ++k) {
    fields[k] = table.data()[k * table.shape(1) + i];
  }
  return std::bit_cast<Struct>(fields);
}

template <class Struct>
void scatter(const Struct& value, const Table& table, std::int64_t i) {
  const auto fields = std::bit_cast<std::array<float, sizeof(Struct) / sizeof(float)>>(value);
  for (std::size_t k = 0; k < fields.size(); ++k) {
    table.data()[k * table.shape(1) + i] = fields[k];
  }
}

template <class Struct>
bool holds(const Table& table, const Logits& logits) {
  return table.shape(0) == sizeof(Struct) / sizeof(float) && table.shape(1) == logits.shape(0);
}

template <class Logit, class Gradient>
void policy_loss_rows_of(azr::PolicyLoss<Logit, Gradient>* kernel, const Logits& logits,
                         const Ids& targets, const Floats& scale, const Table& per_token,
                         const Table& results, const Logits& d_logits,
                         const azr::Objective& objective, int threads) {
  auto* const to = static_cast<Gradient*>(d_logits.data());
  for_each_row<Logit>(logits, targets, scale, threads, [&](const auto& row, std::int64_t i) {
    const auto token = gather<azr::Token>(per_token, i);
    scatter(kernel(row, objective, token, to + i * d_logits.stride(0)), results, i);
  });
}

void policy_loss_rows(const Logits& logits, const Ids& targets, const Floats& scale,
                      const Table& per_token, const Table& results, const Logits& d_logits,
                      int correction, float dual, float cap, float kl_weight, bool has_reference,
                      int threads) {
  check(logits, targets, scale, kNone, {}, threads);
  check(d_logits, targets, scale, kNone, {}, threads);
  require(d_logits.shape(1) == logits.shape(1), "d_logits must have the logits' shape");
  require(holds<azr::Token>(per_token, logits), "per_token must have shape [7, rows]");
  require(holds<azr::TokenResults>(results, logits), "results must have shape [6, rows]");
  require(correction >= 0 && correction <= 2, "correction must be 0, 1 or 2");
  const azr::Objective objective{static_cast<azr::Correction>(correction), dual, cap, kl_weight,
                                 has_reference};
  const auto run = [&](auto* kernel) {
    policy_loss_rows_of(kernel, logits, targets, scale, per_token, results, d_logits, objective,
                        threads);
  };
  if (logits.dtype() == nb::dtype<float>() && d_logits.dtype() == kBFloat16) {
    return run(azr::best_kernels().policy_loss_f32_to_bf16);
  }
  require(d_logits.dtype() == logits.dtype(), "d_logits must have the logits' dtype or bfloat16");
  with_kernels(logits, [&](const auto& kernels) { run(kernels.policy_loss); });
}

void selective_forward(const Logits& logits, const Ids& targets, const Floats& scale,
                       std::int64_t ignored, const Floats& logp, const Floats& entropy,
                       const Floats& top, const Floats& log_sum, int threads) {
  check(logits, targets, scale, ignored, {&logp, &entropy, &top, &log_sum}, threads);
  with_kernels(logits, [&]<class Logit>(const azr::RowKernels<Logit>& kernels) {
    for_each_row<Logit>(logits, targets, scale, threads, [&](const auto& row, std::int64_t i) {
      logp.data()[i] = entropy.data()[i] = top.data()[i] = log_sum.data()[i] = 0;
      if (row.target == ignored) return;
      const azr::RowStatistics sums = kernels.statistics(row);
      top.data()[i] = sums.top;
      log_sum.data()[i] = std::log(sums.exp);
      logp.data()[i] = sums.target_y - log_sum.data()[i];
      entropy.data()[i] = log_sum.data()[i] - sums.y_exp / sums.exp;
    });
  });
}

void selective_backward(const Logits& logits, const Ids& targets, const Floats& scale,
                        std::int64_t ignored, const Floats& entropy, const Floats& top,
                        const Floats& log_sum, const Floats& d_logp, const Floats& d_entropy,
                        const Logits& d_logits, int threads) {
  check(logits, targets, scale, ignored, {&entropy, &top, &log_sum, &d_logp, &d_entropy}, threads);
  check(d_logits, targets, scale, ignored, {}, threads);
  require(d_logits.dtype() == logits.dtype() && d_logits.shape(1) == logits.shape(1),
          "d_logits must have the logits' shape and dtype");
  with_kernels(logits, [&]<class Logit>(const azr::RowKernels<Logit>& kernels) {
    for_each_row<Logit>(logits, targets, scale, threads, [&](const auto& row, std::int64_t i) {
      auto* const to = static_cast<Logit*>(d_logits.data()) + i * d_logits.stride(0);
      if (row.target == ignored) {
        std::fill_n(to, row.vocabulary, Logit{});
        return;
      }
      const azr::RowSoftmax softmax{top.data()[i], log_sum.data()[i], entropy.data()[i]};
      kernels.gradient(row, softmax, {-d_logp.data()[i], -d_entropy.data()[i]}, to);
    });
  });
}

azr::Bf16Operand operand(const Matrix& matrix) {
  require(matrix.dtype() == kBFloat16, "operands must be bfloat16");
  require(matrix.stride(0) == 1 || matrix.stride(1) == 1, "operands must be contiguous one way");
  return {static_cast<const azr::BFloat16*>(matrix.data()), matrix.stride(0), matrix.stride(1)};
}

void bf16_product(const Matrix& a, const Matrix& b, const Result& c, bool add, int threads) {
  const auto product = azr::best_kernels().bf16_product;
  require(product != nullptr, "this processor has no bf16 dot product: use torch");
  require(a.shape(1) == b.shape(1), "operands must have the same depth");
  require(c.shape(0) == a.shape(0) && c.shape(1) == b.shape(0), "c must have shape [m, n]");
  require(c.stride(1) == 1 || c.shape(1) == 1, "columns of c must be contiguous");
  require(threads > 0, "threads must be positive");
  const auto size = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  const azr::Bf16Product arguments{size(a.shape(0)), size(b.shape(0)), size(a.shape(1)), operand(a),
                                   operand(b),       c.data(),         c.stride(0),      add};
  const nb::gil_scoped_release unlocked;
  product(arguments, threads);
}

void group_advantage(const Column<const double>& rewards, const Ids& groups, const Ids& lengths,
                     const Floats& advantages, bool one_group, bool token_weighted,
                     bool leave_one_out, bool scaled) {
  const std::size_t count = rewards.shape(0);
  require(groups.shape(0) == count && lengths.shape(0) == count,
          "one group key and one length per reward are needed");
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < count; ++i) {
    require(lengths.data()[i] >= 0, "lengths must not be negative");
    tokens += static_cast<std::size_t>(lengths.data()[i]);
  }
  require(advantages.shape(0) == tokens, "one advantage per token is needed");
  const nb::gil_scoped_release unlocked;
  azr::group_advantage({rewards.data(), count}, {groups.data(), count}, {lengths.data(), count},
                       {one_group, token_weighted, leave_one_out, scaled}, advantages.data());
}

}  // namespace

// noconvert: what is written in place must be the caller's array, never a converted copy of it.
NB_MODULE(_kernels, module) {
  const auto in_place = [](const char* name) { return nb::arg(name).noconvert(); };
  module.def("isa", [] { return azr::best_kernels().isa; });
  module.def("statistics_rows", &statistics_rows, in_place("logits"), nb::arg("targets"),
             nb::arg("scale"), in_place("shift"), in_place("exp"), in_place("y_exp"),
             in_place("target_y"), nb::arg("threads"));
  module.def("policy_loss_rows", &policy_loss_rows, in_place("logits"), nb::arg("targets"),
             nb::arg("scale"), nb::arg("per_token"), in_place("results"), in_place("d_logits"),
             nb::arg("correction"), nb::arg("dual"), nb::arg("cap"), nb::arg("kl_weight"),
             nb::arg("has_reference"), nb::arg("threads"));
  module.def("selective_forward", &selective_forward, in_place("logits"), nb::arg("targets"),
             nb::arg("scale"), nb::arg("ignored"), in_place("logp"), in_place("entropy"),
             in_place("top"), in_place("log_sum"), nb::arg("threads"));
  module.def("selective_backward", &selective_backward, in_place("logits"), nb::arg("targets"),
             nb::arg("scale"), nb::arg("ignored"), nb::arg("entropy"), nb::arg("top"),
             nb::arg("log_sum"), nb::arg("d_logp"), nb::arg("d_entropy"), in_place("d_logits"),
             nb::arg("threads"));
  module.def("has_bf16_product", [] { return azr::best_kernels().bf16_product != nullptr; });
  module.def("bf16_product", &bf16_product, in_place("a"), in_place("b"), in_place("c"),
             nb::arg("add"), nb::arg("threads"));
  module.def("group_advantage", &group_advantage, nb::arg("rewards"), nb::arg("groups"),
             nb::arg("lengths"), in_place("advantages"), nb::arg("one_group"),
             nb::arg("token_weighted"), nb::arg("leave_one_out"), nb::arg("scaled"));
}
