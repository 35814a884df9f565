// A share of a sum, given back when it goes.
#pragma once

#include <cstdint>

namespace azr {

class HeldBytes {
 public:
  HeldBytes(uint64_t& sum, uint64_t bytes) : sum_(&sum), bytes_(bytes) { *sum_ += bytes_; }
  HeldBytes(const HeldBytes& other) : HeldBytes(*other.sum_, other.bytes_) {}
  HeldBytes& operator=(const HeldBytes&) = delete;
  ~HeldBytes() { *sum_ -= bytes_; }

 private:
  uint64_t* sum_;
  uint64_t bytes_;
};

}  // namespace azr
