// The Unix socket clients connect to: for its owner and one group at most, never taken from a
// living daemon.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "shared/unique_fd.h"

namespace azr {

class Listener {
 public:
  // Binds `path` and listens; mode 0600, or 0660 for `group` where it is not empty. A stale socket
  // file is replaced. Throws StartError. With `owns_folder` the folder goes with the socket, if
  // nothing else is in it: its maker may be dead by then.
  Listener(const std::string& path, const std::string& group, bool owns_folder);
  // Serves a socket that listens already; its file is its maker's. `path`: what was asked for, if
  // anything was.
  Listener(UniqueFd passed, const std::string& path, const std::string& group);
  ~Listener();  // removes the file, if it is still ours
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return socket_.get(); }
  const std::string& path() const { return path_; }
  // The next connection; an empty descriptor when none waits.
  UniqueFd accept();
  // Whether `connection` is of our own user, of root or of the group.
  bool admits(const UniqueFd& connection) const;

 private:
  void bind_path();
  void open_to_group();

  std::string path_;
  std::optional<gid_t> group_;
  bool owns_file_ = true, owns_folder_ = false;
  UniqueFd socket_;
  uint64_t device_ = 0, inode_ = 0;
};

}  // namespace azr
