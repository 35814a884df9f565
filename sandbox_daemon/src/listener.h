// The Unix socket clients connect to: private to its owner, never taken from a living daemon.
#pragma once

#include <cstdint>
#include <string>

#include "unique_fd.h"

namespace azr {

class Listener {
 public:
  // Binds `path` with mode 0600 and listens. A stale socket file is replaced. Throws StartError.
  // With `owns_folder` the folder goes with the socket, if nothing else is in it: its maker may be
  // dead by then.
  Listener(const std::string& path, bool owns_folder);
  ~Listener();  // removes the file, if it is still ours
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return socket_.get(); }
  // The next connection of our own user or root; an empty descriptor when none waits.
  UniqueFd accept();

 private:
  std::string path_;
  bool owns_folder_;
  UniqueFd socket_;
  uint64_t device_ = 0, inode_ = 0;
};

}  // namespace azr
