// Generators of random numbers that imported modules keep: `random`'s own, numpy's, those that a
// module made for itself. All programs of a zygote would draw the same numbers from them. What a
// module gave a seed keeps it: its numbers repeat in plain CPython too.
#pragma once

#include <cstdint>
#include <memory>

namespace azr {

// While it lives, notes which instances of `random.Random` draw their state from the system.
class UnseededWatch {
 public:
  UnseededWatch();
  ~UnseededWatch();
  UnseededWatch(const UnseededWatch&) = delete;
  UnseededWatch& operator=(const UnseededWatch&) = delete;

 private:
  struct Original;
  std::unique_ptr<Original> original_;
};

// Looks for them all. Call once when the modules are imported, while Python's collector can still
// tell what there is.
void find_generators();

// Each gets numbers of its own that `random` decides. False with an exception set on failure.
bool reseed_generators(uint64_t random);
// Each is seeded as by `random.seed(seed)`. False with an exception set on failure.
bool seed_generators(int64_t seed);

}  // namespace azr
