// The kernel spares process 1 of a namespace the signals that would end others. In a jail, where
// the program is that process, a handler takes the place of their default action.
#pragma once

#include <csignal>

namespace azr {

using SignalHandler = void (*)(int, siginfo_t*, void*);

// From now on, in children too, and though a program asks for the default action again by the C
// library's sigaction(2), which is told of the default.
void replace_default_actions(SignalHandler handler);

}  // namespace azr
