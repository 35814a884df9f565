// The minimal root of a zygote: what programs may read, read-only, and /dev/null. No /proc, no
// home.
#pragma once

#include <string>
#include <vector>

namespace azr {

// Read-only directories and files a program needs: `import_paths` and the system's libraries.
std::vector<std::string> readable_paths(const std::vector<std::string>& import_paths);

// In a mount namespace of its own, makes `readable` the whole file system, without the packages in
// it that are not in `import_paths`. With `jail` there are the usual devices besides /dev/null, an
// empty /tmp to which /dev/shm leads, and where that can be had /dev/fd, stdin, stdout and stderr.
// Empty on success, else which step failed; the old root is then still there.
std::string enter_minimal_root(const std::vector<std::string>& readable,
                               const std::vector<std::string>& import_paths, bool jail);

}  // namespace azr
