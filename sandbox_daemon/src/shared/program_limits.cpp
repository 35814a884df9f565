#include "program_limits.h"

#include <sys/resource.h>

namespace azr {
namespace {

bool set_limit(int resource, uint64_t soft, uint64_t hard) {
  const rlimit value{soft, hard};
  return ::setrlimit(static_cast<__rlimit_resource>(resource), &value) == 0;
}

bool set_limit(int resource, uint64_t both) { return set_limit(resource, both, both); }

// What differs between tiers: tasks of the user, bytes of a file, descriptors.
struct Room {
  uint64_t tasks, file, descriptors;
};

constexpr Room room_of(Tier tier) {
  return tier == Tier::kJail ? Room{64, 64 << 20, 256} : Room{0, 0, 64};
}

}  // namespace

bool apply_program_limits(const Limits& limits, uint64_t base_bytes, Tier tier) {
  const Room room = room_of(tier);
  // The broker keeps the exact CPU deadline; this coarse one holds should the broker be stopped.
  const uint64_t cpu_seconds = limits.cpu() / 1000 + 2;
  return set_limit(RLIMIT_AS, base_bytes + limits.memory) &&
         set_limit(RLIMIT_CPU, cpu_seconds, cpu_seconds + 1) &&
         set_limit(RLIMIT_FSIZE, room.file) && set_limit(RLIMIT_NOFILE, room.descriptors) &&
         set_limit(RLIMIT_NPROC, room.tasks) && set_limit(RLIMIT_CORE, 0) &&
         set_limit(RLIMIT_MEMLOCK, 0) && set_limit(RLIMIT_MSGQUEUE, 0);
}

bool set_stack_limit() {
  rlimit now{};
  if (::getrlimit(RLIMIT_STACK, &now) != 0) return false;
  const rlim_t wanted = now.rlim_max == RLIM_INFINITY || now.rlim_max > kStackBytes
                            ? static_cast<rlim_t>(kStackBytes)
                            : now.rlim_max;
  return set_limit(RLIMIT_STACK, wanted);
}

}  // namespace azr
