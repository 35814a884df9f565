#include "random_state.h"

#include <string>

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

// RandomObject of CPython's Modules/_randommodule.c, which no header tells.
struct PythonState {
  PyObject head;
  int index;  // kWords: all are used up
  uint32_t words[kWords];
};

// mt19937_state of numpy's random/src/mt19937/mt19937.h.
struct NumpyState {
  uint32_t words[kWords];
  int index;
};

}  // namespace

// A generator is known that looks as it should with the one state that we can tell: that of a seed.
bool RandomState::holds(py::handle words, int index) const {
  if (index != *index_) return false;
  for (int i = 0; i < kWords; ++i) {
    if (words[py::int_(i)].cast<uint32_t>() != words_[i]) return false;
  }
  return true;
}

RandomState RandomState::of_random(py::handle generator) {
  const auto type = py::module_::import("_random").attr("Random");
  generator.attr("seed")(0);
  const py::tuple expected = generator.attr("getstate")()[py::int_(1)];
  if (reinterpret_cast<PyTypeObject*>(type.ptr())->tp_basicsize != sizeof(PythonState) ||
      !py::isinstance(generator, type) || expected.size() != kWords + 1) {
    return {};
  }
  auto* const state = reinterpret_cast<PythonState*>(generator.ptr());
  const RandomState found(state->words, &state->index);
  return found.holds(expected, expected[kWords].cast<int>()) ? found : RandomState();
}

RandomState RandomState::of_numpy(py::handle bits, py::handle seed) {
  seed(0);
  const py::object state = bits.attr("state");
  if (state["bit_generator"].cast<std::string>() != "MT19937") return {};
  const auto address = bits.attr("ctypes").attr("state_address").cast<uintptr_t>();
  auto* const there = reinterpret_cast<NumpyState*>(address);
  const RandomState found(there->words, &there->index);
  const py::object expected = state["state"];
  return found.holds(expected["key"], expected["pos"].cast<int>()) ? found : RandomState();
}

void RandomState::fill(uint64_t seed) const {
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  for (int i = 0; i < kWords; i += 2) {
    const uint64_t two = mixed(seed += kStep);
    words_[i] = static_cast<uint32_t>(two);
    words_[i + 1] = static_cast<uint32_t>(two >> 32);
  }
  *index_ = kWords;
}

}  // namespace azr
