#include "broker/listener.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/activation.h"
#include "broker/peer.h"
#include "shared/error.h"

namespace azr {
namespace {

constexpr int kBacklog = 128;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) throw StartError("socket: --socket PATH is needed");
  if (path.size() >= sizeof address.sun_path) {
    throw StartError("socket: the path is " + std::to_string(path.size()) +
                     " bytes long, at most " + std::to_string(sizeof address.sun_path - 1) +
                     " are possible: use a shorter one");
  }
  path.copy(address.sun_path, path.size());
  return address;
}

int on_address(int (*call)(int, const sockaddr*, socklen_t), int fd, const sockaddr_un& address) {
  return call(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

UniqueFd new_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw StartError("socket: cannot make one: " + errno_text());
  return fd;
}

// Holds the folder while one daemon looks and binds, so that two never do so together.
UniqueFd lock_folder(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    throw StartError("socket: cannot open the folder " + folder + " (" + errno_text() +
                     "): make it first");
  }
  ::flock(fd.get(), LOCK_EX);
  return fd;
}

// Makes way for a new socket: removes a stale one, refuses anything else.
void clear_path(const std::string& path, const sockaddr_un& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return;
  if (!S_ISSOCK(info.st_mode)) {
    throw StartError("socket: " + path + " exists and is no socket: choose another path");
  }
  const UniqueFd probe = new_socket();
  if (on_address(::connect, probe.get(), address) == 0 || errno == EAGAIN) {
    throw StartError("socket: a daemon already serves " + path +
                     ": stop it or choose another path");
  }
  if (errno != ECONNREFUSED || ::unlink(path.c_str()) != 0) {
    throw StartError("socket: cannot replace " + path + " (" + errno_text() + "): remove it");
  }
}

std::optional<gid_t> group_or_none(const std::string& name) {
  return name.empty() ? std::nullopt : std::optional(find_group(name));
}

}  // namespace

Listener::Listener(const std::string& path, const std::string& group, bool owns_folder)
    : path_(path), group_(group_or_none(group)), owns_folder_(owns_folder) {
  bind_path();
  if (group_) open_to_group();
  struct stat info{};
  if (::listen(socket_.get(), kBacklog) != 0 || ::stat(path.c_str(), &info) != 0) {
    throw StartError("socket: cannot listen on " + path + ": " + errno_text());
  }
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

Listener::Listener(UniqueFd passed, const std::string& path, const std::string& group)
    : path_(bound_path(passed.get())),
      group_(group_or_none(group)),
      owns_file_(false),
      socket_(std::move(passed)) {
  if (!path.empty() && path != path_) {
    throw StartError("socket: --socket " + path + " differs from " + path_ +
                     ", which was passed by socket activation: leave --socket away");
  }
}

// Nobody may connect before the group is set: whoever does is looked at later all the same.
void Listener::bind_path() {
  const sockaddr_un address = address_of(path_);
  const UniqueFd lock = lock_folder(path_);
  clear_path(path_, address);
  socket_ = new_socket();
  const mode_t previous = ::umask(0177);
  const int bound = on_address(::bind, socket_.get(), address);
  const int fault = errno;
  ::umask(previous);
  if (bound != 0) {
    throw StartError("socket: cannot bind " + path_ + " (" + errno_text(fault) +
                     "): choose a folder you may write to");
  }
}

void Listener::open_to_group() {
  if (::chown(path_.c_str(), static_cast<uid_t>(-1), *group_) == 0 &&
      ::chmod(path_.c_str(), 0660) == 0) {
    return;
  }
  const std::string fault = errno_text();
  ::unlink(path_.c_str());
  throw StartError("socket: cannot give " + path_ + " to the group " + std::to_string(*group_) +
                   " (" + fault + "): the daemon's user must be a member of it, or root");
}

Listener::~Listener() {
  struct stat info{};
  if (owns_file_ && ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ &&
      info.st_ino == inode_) {
    ::unlink(path_.c_str());
    if (owns_folder_) ::rmdir(path_.substr(0, path_.rfind('/')).c_str());
  }
}

UniqueFd Listener::accept() {
  return UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

bool Listener::admits(const UniqueFd& connection) const {
  return may_connect(connection.get(), group_);
}

}  // namespace azr
