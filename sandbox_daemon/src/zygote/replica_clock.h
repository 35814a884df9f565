// Clocks and counters of the process, which each replica of a program reads otherwise.
//
// Replicas run side by side and read the same millisecond, second and year: what follows the clock
// would often look the same in all of them. No deterministic program can tell.
#pragma once

#include <cstdint>

namespace azr {

// From now on the time of day is that of another year, month, day, hour, minute, second and part of
// it in each replica, and what the process says to have used (CPU time, memory, page faults,
// switches) is more by a different amount. Replica 0 reads what is true. This holds for what goes
// through the C library, as all of Python does, not for a program's own system calls.
void become_replica(uint32_t number);
uint32_t replica_number();

}  // namespace azr
