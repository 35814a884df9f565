// What the kernel would tell of the machine's load and memory drifts by itself, alike for programs
// that run side by side, by which one could also tell another a secret. Something is told instead
// that is the same for ever, but another thing in each replica of a program (answers.h).
#pragma once

#include <cstdint>

namespace azr {

// What stays true of the machine. Call while the kernel may be asked.
void keep_machine_facts();

// From now on what replica `number` is told; once.
void tell_other_facts(uint32_t replica);

}  // namespace azr
