// Heaps of a fixed size: a runner can map no memory, so what its programs may use is there before.
// A program that needs more asks the kernel for it, and is moved to a fork for that.
#pragma once

namespace azr {

// Python's arenas come from one area, the C library's blocks from below the program break. Call
// before the interpreter starts.
void use_fixed_heap();

// Makes the room that programs find free below the break. Call when warm.
void extend_fixed_heap();

}  // namespace azr
