// Ends a program by a signal that would not end it by itself, and leaves a note of which: SIGSYS of
// a refused system call, and in a jail all by which process 1 of a namespace is spared.
//
// A program can change every byte of its process: its C library, our code, the memory that results
// are written to. So the handler lies in a page of its own, calls nothing, and that page and the
// shared memory are sealed (mseal(2), Linux 6.10): they can be neither written to nor replaced.
// Older kernels have no seals; a program that finds the page can then change it.
#pragma once

#include <sys/types.h>

#include "region.h"
#include "seccomp.h"

namespace azr {

// Inherited by children. To be called once, when warm: what was warmed up has not seen it. In a
// jail only process 1, the program, leaves notes; others that it makes end as without a handler.
// Whether it is sealed. Throws StartError.
bool install_end_handler(const Region& region, bool jail);

// Tries it in a child under `filter`. Throws StartError when it leaves no note.
void prove_end_handler(SyscallFilter& filter, const Region& region, bool jail);

}  // namespace azr
