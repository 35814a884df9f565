// Where a rewind zygote can work: what it needs of the machine, and its place there.
#pragma once

#include <cstdint>
#include <span>

namespace azr {

// A written page that was swapped out is no longer known to be written. Throws StartError.
void require_no_swap();

// Memory for a runner's stack, with a guard below it. Throws StartError.
std::span<char> make_runner_stack();

// Supervisor and runner take turns: on one core they never wake another one. `number` counts
// those that the process may use, round and round.
void pin_to_core(uint64_t number);

}  // namespace azr
