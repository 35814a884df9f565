// Whether a page is what it was, told from its own bytes: little of its copy is read, so that twice
// as many hot pages fit the cache that a core has to itself, beside what the runner reads.
//
// The sum of carry-less products (a ^ k)(b ^ k') over all pairs of a page's 64-bit words, where the
// k are a random key (Lemire, Kaser: Faster 64-bit universal hashing using carry-less
// multiplications, 2015, section 3). Whatever two different pages are, of all keys at most one in
// 2^64 gives both the same sum: where a word differs, all but one value of its partner's key tell
// the pages apart. That holds for programs that want to deceive as well, since the key is drawn for
// each snapshot, and neither it nor a sum lies in memory that a program can read while it is in
// use.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "area.h"

namespace azr {

class PageFingerprints {
 public:
  using Fingerprint = std::array<uint64_t, 2>;

  // Whether this processor can make them.
  static bool are_supported();
  // With a key that is drawn; nothing where they are not supported. Throws StartError.
  static std::optional<PageFingerprints> with_new_key();
  explicit PageFingerprints(Area<char> key);  // as long as a page
  Fingerprint of(const char* page) const;

 private:
  Area<char> key_;
};

}  // namespace azr
