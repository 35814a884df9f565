// A program in a jail is process 1 of its namespace each time. Later replicas are told another
// number, as they would be in plain CPython, and what they say of that number is done to process 1
// (answers.h).
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace azr {

// From now on and for what this process makes; before its own filter is on. False when the kernel
// refuses.
bool tell_other_ids(uint32_t replica);

// Of this process, whatever it is told.
pid_t true_process_id();

}  // namespace azr
