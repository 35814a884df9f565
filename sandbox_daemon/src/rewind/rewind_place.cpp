#include "rewind_place.h"

#include <sched.h>
#include <sys/mman.h>

#include <fstream>
#include <string>

#include "error.h"
#include "pagemap.h"
#include "program_limits.h"
#include "random.h"

namespace azr {
namespace {

constexpr size_t kStackStep = 16;  // as the kernel places stacks, which this is none of

}  // namespace

void require_no_swap() {
  std::ifstream swaps("/proc/swaps");
  std::string header, first;
  if (!std::getline(swaps, header)) throw StartError("rewind: cannot read /proc/swaps");
  if (std::getline(swaps, first)) {
    throw StartError(
        "rewind: needs a machine without swap: a page that was swapped out cannot be "
        "known to be written");
  }
}

std::span<char> make_runner_stack() {
  void* area = ::mmap(nullptr, kStackBytes + kPage, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  char* const stack = static_cast<char*>(area) + kPage;
  if (area == MAP_FAILED || ::mprotect(stack, kStackBytes, PROT_READ | PROT_WRITE) != 0) {
    throw StartError("rewind: cannot map a stack: " + errno_text());
  }
  return {stack, kStackBytes - kStackStep * (random_value<uint32_t>() % (kPage / kStackStep))};
}

void pin_to_core(uint64_t number) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  uint64_t turn = number % static_cast<uint64_t>(CPU_COUNT(&allowed));
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed) || turn-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

}  // namespace azr
