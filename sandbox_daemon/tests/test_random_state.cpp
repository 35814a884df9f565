// The shortcut to fresh random numbers, in a real interpreter: it is known, it makes states that
// the generator's own methods take for theirs, and it leaves alone what it does not know.
#include <pybind11/embed.h>

#include "expect.h"
#include "in_interpreter.h"
#include "random_state.h"

namespace py = pybind11;

namespace {

using namespace azr;

py::object generator() { return py::module_::import("random").attr("_inst"); }

py::tuple words_of(const py::object& random) { return random.attr("getstate")()[py::int_(1)]; }

void its_state_is_that_of_seed_0() {
  const auto random = generator();
  random.attr("gauss")(0, 1);  // keeps a second number for the next call
  EXPECT(RandomState::of_random(random).is_known());
  const py::object state = random.attr("getstate")();
  random.attr("seed")(0);
  EXPECT(state.equal(random.attr("getstate")()));
}

void a_filled_state_is_a_state() {
  const auto random = generator();
  const RandomState state = RandomState::of_random(random);
  state.fill(1);
  const py::tuple words = words_of(random);
  EXPECT(words.size() == 625 && words[624].cast<int>() == 624);
  EXPECT(py::set(words).size() > 600);
  const py::object before = random.attr("getstate")(), drawn = random.attr("random")();
  random.attr("setstate")(before);
  EXPECT(drawn.equal(random.attr("random")()));
}

void seeds_differ_and_repeat() {
  const auto random = generator();
  const RandomState state = RandomState::of_random(random);
  const auto words = [&](uint64_t seed) {
    state.fill(seed);
    return words_of(random);
  };
  EXPECT(words(7).equal(words(7)));
  EXPECT(!words(7).equal(words(8)));
}

void all_bits_are_used() {
  const auto random = generator();
  const RandomState state = RandomState::of_random(random);
  double sum = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    state.fill(seed);
    sum += random.attr("random")().cast<double>();
  }
  EXPECT(sum / 4000 > 0.47 && sum / 4000 < 0.53);  // six standard deviations
}

void others_are_not_known() {
  const py::object other = py::eval(
      "type('Other', (), {'seed': lambda s, n: None, 'getstate': lambda s: (3, (1,), None)})()");
  EXPECT(!RandomState::of_random(other).is_known());
  const py::object system = py::eval(
      "type('Odd', (__import__('_random').Random,), {'getstate': lambda s: (3, (1,) * 625, "
      "None)})()");
  EXPECT(!RandomState::of_random(system).is_known());
}

void run() {
  its_state_is_that_of_seed_0();
  a_filled_state_is_a_state();
  seeds_differ_and_repeat();
  all_bits_are_used();
  others_are_not_known();
}

}  // namespace

int main() { test_in_interpreter("random", run); }
