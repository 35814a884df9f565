// Fresh numbers for the generators of `random` and of numpy, at a tenth of what their `seed` costs.
//
// That spreads one number over a generator's 2,496 bytes by 1,872 steps of which each waits for
// the one before: 5 us of a small program's 30, and 3 us more in Python, whose pages must then be
// put back. What no program asked to be repeatable may as well be filled in directly.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace azr {

// The words of a Mersenne Twister, where they are known to lie.
class RandomState {
 public:
  RandomState() = default;
  // Of a `random.Random`, whose state afterwards is that of seed(0).
  static RandomState of_random(pybind11::handle generator);
  // Of a numpy.random.MT19937 that `seed` seeds; its state afterwards is that of seed(0).
  static RandomState of_numpy(pybind11::handle bits, pybind11::handle seed);

  // Whether the generator is as it is known to be; nothing else is allowed where not.
  bool is_known() const { return words_ != nullptr; }
  void fill(uint64_t seed) const;

 private:
  RandomState(uint32_t* words, int* index) : words_(words), index_(index) {}
  bool holds(pybind11::handle words, int index) const;

  uint32_t* words_ = nullptr;
  int* index_ = nullptr;  // of the next word
};

}  // namespace azr
