// Fresh numbers for the module `random`, at a tenth of what `random.seed` costs.
//
// That spreads one number over the generator's 2,496 bytes by 1,872 steps of which each waits for
// the one before: 5 us of a small program's 30, and 3 us more in Python, whose pages must then be
// put back. What no program asked to be repeatable may as well be filled in directly.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace azr {

class RandomState {
 public:
  RandomState() = default;
  // Of `generator`, a `random.Random`; its state afterwards is that of seed(0).
  explicit RandomState(pybind11::handle generator);

  // Whether the generator is as CPython's is known to be; nothing else is allowed where not.
  bool is_known() const { return state_ != nullptr; }
  void fill(uint64_t seed) const;

 private:
  struct State;
  State* state_ = nullptr;
};

}  // namespace azr
