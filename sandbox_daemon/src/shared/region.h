// The memory a broker and one zygote share: the request goes in, records of results come out.
// Programs hold no descriptor of it, so closing or writing to every descriptor cannot touch a
// result.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "unique_fd.h"

namespace azr {

inline constexpr size_t kInputBytes = 48ull << 20;
// Values at their largest limit beside a message of the largest size for every case there can be.
inline constexpr size_t kOutputBytes = 64ull << 20;

class Region {
 public:
  static UniqueFd create() {
    UniqueFd fd(::memfd_create("azr-region", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || ::ftruncate(fd.get(), kInputBytes + kOutputBytes) != 0 ||
        ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
      fd.reset();
    }
    return fd;
  }

  // Maps the region; valid() is false when that failed.
  explicit Region(int fd)
      : base_(::mmap(nullptr, kInputBytes + kOutputBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                     0)) {}
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region() {
    if (valid()) ::munmap(base_, kInputBytes + kOutputBytes);
  }

  bool valid() const { return base_ != MAP_FAILED; }
  std::span<char> input() const { return {static_cast<char*>(base_), kInputBytes}; }
  std::span<char> output() const { return {static_cast<char*>(base_) + kInputBytes, kOutputBytes}; }

  // Back to zeros, whatever was written anywhere in it. `fd` is the region's. The pages that every
  // program needs are kept, as long as there are no others: the file's size tells.
  bool clear(int fd) const {
    size_t at = 0;
    while (at < kAllBytes) {
      if (!clear_some(fd, at, kAllBytes)) return false;
    }
    return true;
  }
  // The same in pieces of `bytes`, `at` being how far it came: kAllBytes in the end.
  bool clear_some(int fd, size_t& at, size_t bytes) const {
    std::memset(input().data(), 0, kKeptBytes);
    std::memset(output().data(), 0, kKeptBytes);
    struct stat info{};
    if (::fstat(fd, &info) != 0) return false;
    if (info.st_blocks * kBlockBytes == 2 * kKeptBytes) return at = kAllBytes, true;
    bytes = std::min(bytes, kAllBytes - at);
    const bool done = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  static_cast<off_t>(at), static_cast<off_t>(bytes)) == 0;
    at += bytes;
    return done;
  }
  static constexpr size_t kAllBytes = kInputBytes + kOutputBytes;

 private:
  static constexpr size_t kKeptBytes = 16 << 10;  // at the beginning of each area
  static constexpr size_t kBlockBytes = 512;      // as stat(2) counts them

  void* base_;
};

}  // namespace azr
