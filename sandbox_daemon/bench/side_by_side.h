// The same loop over one program in several processes side by side: what the bare-loop benchmarks
// share.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "channel.h"
#include "frames.h"
#include "options.h"

namespace azr {

struct Work {
  std::string program, argument, expect, preload;
  uint64_t processes, count;
};

// --processes N --count N --preload A,B,... --program TEXT --argument TEXT --expect TEXT
Work work_from(int argc, char** argv);

// Whether the records in `area` are those of one call that returned what was expected.
bool answered(std::span<const char> area, const TaskHeader& job, const std::string& expect);

// `warm_up(number)` makes one process ready and returns its loop, which is false for a wrong
// answer. Prints programs per second; an exit status.
int run_side_by_side(const Work& work,
                     const std::function<std::function<bool()>(uint64_t number)>& warm_up);

}  // namespace azr
