#include "generators.h"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <vector>

#include "random_state.h"

namespace py = pybind11;

namespace azr {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;  // tells the seeds of generators apart

struct Generator {
  PyObject* seed;     // a callable of one number
  RandomState state;  // the shorter way, where it is known
};

// Python objects of them live as long as the process.
std::vector<Generator> g_generators;
std::vector<py::object>& unseeded() {
  static auto* const found = new std::vector<py::object>();
  return *found;
}

void note(const py::object& generator, bool has_seed) {
  std::erase_if(unseeded(), [&](const py::object& other) { return other.is(generator); });
  if (!has_seed) unseeded().push_back(generator);
}

void add(const py::object& seed, RandomState state) {
  g_generators.push_back({py::object(seed).release().ptr(), state});
}

void add_random(const py::object& generator) {
  add(generator.attr("seed"), RandomState::of_random(generator));
}

bool is_imported(const char* module) {
  return py::module_::import("sys").attr("modules").contains(module);
}

// The one behind `numpy.random.rand` and its like.
py::object add_numpy() {
  const auto random = py::module_::import("numpy.random");
  const py::object seed = random.attr("seed");
  const py::object bits = random.attr("mtrand").attr("_rand").attr("_bit_generator");
  const auto short_seed = [seed](int64_t number) { seed(static_cast<uint32_t>(number)); };
  add(py::cpp_function(short_seed), RandomState::of_numpy(bits, seed));
  return bits;
}

// Whether the system drew its seed: those have 128 bits.
bool is_drawn(const py::object& bits) {
  const char* const name = py::hasattr(bits, "seed_seq") ? "seed_seq" : "_seed_seq";
  const py::object entropy =
      py::getattr(py::getattr(bits, name, py::none()), "entropy", py::none());
  return py::isinstance<py::int_>(entropy) && entropy.attr("bit_length")().cast<int>() > 64;
}

void add_numpy_bits(const py::object& bits) {
  const auto make = py::reinterpret_borrow<py::object>(py::type::of(bits));
  add(py::cpp_function([bits, make](int64_t number) {
        bits.attr("state") = make(static_cast<uint64_t>(number)).attr("state");
      }),
      {});
}

// Of numpy's generators that modules made.
void add_numpys_but(const py::object& own) {
  const auto type = py::module_::import("numpy.random").attr("BitGenerator");
  for (const auto object : py::module_::import("gc").attr("get_objects")()) {
    const auto bits = py::reinterpret_borrow<py::object>(object);
    if (py::isinstance(bits, type) && !bits.is(own) && is_drawn(bits)) add_numpy_bits(bits);
  }
}

bool call_seed(PyObject* seed, int64_t number) {
  const auto value = py::reinterpret_steal<py::object>(PyLong_FromLongLong(number));
  return value &&
         py::reinterpret_steal<py::object>(PyObject_CallOneArg(seed, value.ptr())).ptr() != nullptr;
}

}  // namespace

struct UnseededWatch::Original {
  py::object type, seed;
};

UnseededWatch::UnseededWatch() : original_(std::make_unique<Original>()) {
  const py::object type = py::module_::import("random").attr("Random");
  const py::object seed = type.attr("seed");
  *original_ = {type, seed};
  type.attr("seed") = py::cpp_function(
      [seed](const py::object& self, const py::object& number, int version) {
        seed(self, number, version);
        note(self, !number.is_none());
      },
      py::name("seed"), py::is_method(type), py::arg("a") = py::none(), py::arg("version") = 2);
}

UnseededWatch::~UnseededWatch() { original_->type.attr("seed") = original_->seed; }

void find_generators() {
  add_random(py::module_::import("random").attr("_inst"));
  for (const py::object& generator : unseeded()) add_random(generator);
  if (is_imported("numpy.random")) add_numpys_but(add_numpy());
}

bool reseed_generators(uint64_t random) {
  return std::ranges::all_of(g_generators, [&random](const Generator& one) {
    random += kGolden;
    if (!one.state.is_known()) return call_seed(one.seed, static_cast<int64_t>(random));
    one.state.fill(random);
    return true;
  });
}

bool seed_generators(int64_t seed) {
  return std::ranges::all_of(g_generators,
                             [seed](const Generator& one) { return call_seed(one.seed, seed); });
}

}  // namespace azr
