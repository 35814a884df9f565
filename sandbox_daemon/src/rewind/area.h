// Memory of a supervisor's own: no runner, which is a fork of it, has a copy.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

#include "error.h"

namespace azr {

template <typename T>
class Area {
 public:
  Area() = default;
  // Zeros, or the file's bytes from its beginning. Throws StartError.
  explicit Area(size_t count, int file = -1) : count_(count) {
    const int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void* at = ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, flags, file, 0);
    if (at == MAP_FAILED || ::madvise(at, count * sizeof(T), MADV_DONTFORK) != 0) {
      throw StartError("rewind: cannot map memory: " + errno_text());
    }
    data_ = static_cast<T*>(at);
  }
  Area(Area&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  Area& operator=(Area&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~Area() {
    if (data_ != nullptr) ::munmap(data_, count_ * sizeof(T));
  }

  T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) const { return data_[i]; }
  std::span<T> span() const { return {data_, count_}; }

 private:
  T* data_ = nullptr;
  size_t count_ = 0;
};

}  // namespace azr
