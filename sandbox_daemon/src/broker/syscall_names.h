// Names of system calls by number.
#pragma once

#include <string_view>

namespace azr {

std::string_view syscall_name(int number);  // "unknown" for a number of no call

}  // namespace azr
