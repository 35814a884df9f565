// What a script may do in a jail and not in a fork, as Python itself tells of it beforehand.
#pragma once

namespace azr {

// From now on a program that asks Python for a thread, a process, a file to write to or a device
// ends as if it had made a refused system call, so that it is run anew where it may. Without this
// it would see an error, which most programs do not expect; that others, in machine code, see one
// all the same only costs them the jail. Not a layer of isolation.
void refuse_what_a_jail_gives();

}  // namespace azr
