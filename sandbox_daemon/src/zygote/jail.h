// The strongest tier: a program in namespaces of its own, where it may make processes, threads and
// files. Its zygote keeps the one capability that takes, within its own user namespace, and every
// child gives it up before it looks at the program.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace azr {

inline constexpr const char* kJailFolder = "/tmp";  // a file system of the program's own
inline constexpr const char* kJailFolderOptions = "size=64m,nr_inodes=4096,mode=700";

// The folder of its processes, by which /dev/fd leads to a program's own descriptors.
inline constexpr const char* kJailProc = "/.proc";

// Lets other users write to the pipes of output, when these are opened anew by their names. To be
// called as the user who made them.
void open_output_to_all();

// As fork(2), the child as init of a new pid namespace, in new mount and ipc namespaces.
pid_t fork_jailed();

// In that child: a folder to write to, a session of its own, no capabilities, Landlock if
// `landlock`. False when a step fails: nothing may be run then.
bool enter_jail(const std::vector<std::string>& readable, bool landlock);

// Tries it in a child. Throws StartError when there is no jail to be had here or it does not hold.
void prove_jail(const std::vector<std::string>& readable, bool landlock);

}  // namespace azr
