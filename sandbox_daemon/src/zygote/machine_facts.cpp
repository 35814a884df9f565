#include "machine_facts.h"

#include <sys/sysinfo.h>

#include "answers.h"

namespace azr {

// A machine that has just started, half of whose memory is free.
void keep_machine_facts() {
  struct sysinfo now{};
  if (::sysinfo(&now) != 0) return;
  struct sysinfo& told = answers().machine;
  told.totalram = now.totalram;
  told.freeram = now.totalram / 2;
  told.mem_unit = now.mem_unit;
  told.procs = 1;
}

// In each the machine runs for longer, has less free memory and more to do.
void tell_other_facts(uint32_t replica) {
  constexpr unsigned long kSeconds = 100'003, kBytes = 4096, kLoad = 1 << SI_LOAD_SHIFT;
  struct sysinfo& told = answers().machine;
  told.uptime += static_cast<long>(kSeconds * replica);
  told.freeram -= kBytes * replica;
  told.procs = static_cast<unsigned short>(told.procs + replica);
  for (unsigned long& load : told.loads) load += kLoad * replica;
}

}  // namespace azr
