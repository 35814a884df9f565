// Which pairs of basic blocks a run of the target passed; GCC's -fsanitize-coverage=trace-pc.
#pragma once

#include <cstddef>

namespace azr::fuzz {

void forget_run();
// Whether the last run passed something that no run before it had. Remembers it.
bool something_new();
size_t blocks_seen();

}  // namespace azr::fuzz
