// Names of system calls by number, for the broker's replies.
#include "broker/syscall_names.h"

#include <sys/syscall.h>

#include <algorithm>

namespace azr {
namespace {

struct Name {
  int number;
  std::string_view name;
};

constexpr Name kNames[] = {
#include "syscall_names.inc"
};

}  // namespace

std::string_view syscall_name(int number) {
  const auto* found = std::ranges::find(kNames, number, &Name::number);
  return found == std::end(kNames) ? "unknown" : found->name;
}

}  // namespace azr
