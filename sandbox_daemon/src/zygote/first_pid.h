// The ids of processes in a zygote's own namespace begin at a random number: else they would be the
// same in two zygotes that have run as many programs, and so look like a property of the program.
#pragma once

#include <cstdint>

namespace azr {

// Where this process is the init of its namespace; elsewhere ids are the machine's. Before the
// zygote is locked in.
void begin_process_ids_at_random();
// The next `count` ids of this namespace are nobody's.
void use_up_process_ids(uint32_t count);

}  // namespace azr
