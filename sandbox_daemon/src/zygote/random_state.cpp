#include "random_state.h"

#include <algorithm>

namespace py = pybind11;

namespace azr {
namespace {

constexpr int kWords = 624;

// SplitMix64: its numbers do not wait for one another.
uint64_t mixed(uint64_t counter) {
  counter = (counter ^ (counter >> 30)) * 0xbf58476d1ce4e5b9;
  counter = (counter ^ (counter >> 27)) * 0x94d049bb133111eb;
  return counter ^ (counter >> 31);
}

}  // namespace

// RandomObject of CPython's Modules/_randommodule.c, which no header tells.
struct RandomState::State {
  PyObject head;
  int index;  // of the next word; kWords: all are used up
  uint32_t words[kWords];
};

// Known is what looks as it should with the one state that we can tell: that of a seed.
RandomState::RandomState(py::handle generator) {
  const auto type = py::module_::import("_random").attr("Random");
  generator.attr("seed")(0);
  const py::tuple expected = generator.attr("getstate")()[py::int_(1)];
  if (reinterpret_cast<PyTypeObject*>(type.ptr())->tp_basicsize != sizeof(State) ||
      !py::isinstance(generator, type) || expected.size() != kWords + 1) {
    return;
  }
  auto* const state = reinterpret_cast<State*>(generator.ptr());
  const auto is_next = [at = expected.begin()](uint32_t word) mutable {
    return (*at++).cast<uint32_t>() == word;
  };
  if (std::ranges::all_of(state->words, is_next) && expected[kWords].cast<int>() == state->index) {
    state_ = state;
  }
}

void RandomState::fill(uint64_t seed) const {
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  for (int i = 0; i < kWords; i += 2) {
    const uint64_t two = mixed(seed += kStep);
    state_->words[i] = static_cast<uint32_t>(two);
    state_->words[i + 1] = static_cast<uint32_t>(two >> 32);
  }
  state_->index = kWords;
}

}  // namespace azr
