#include "broker/activation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <ctime>

#include "shared/error.h"
#include "shared/options.h"

namespace azr {
namespace {

constexpr int kFirstPassed = 3;

uint64_t number_in_environment(const char* name) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && parse_number(text, value) ? value : 0;
}

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

}  // namespace

UniqueFd passed_socket() {
  const bool ours = number_in_environment("LISTEN_PID") == static_cast<uint64_t>(::getpid());
  const uint64_t count = ours ? number_in_environment("LISTEN_FDS") : 0;
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (count == 0) return {};
  if (count != 1) {
    throw StartError("socket activation: " + std::to_string(count) +
                     " sockets were passed, one is served: name one ListenStream= only");
  }
  if (socket_option(kFirstPassed, SO_DOMAIN) != AF_UNIX ||
      socket_option(kFirstPassed, SO_TYPE) != SOCK_STREAM ||
      socket_option(kFirstPassed, SO_ACCEPTCONN) != 1) {
    throw StartError(
        "socket activation: descriptor 3 is no listening Unix stream socket: "
        "use ListenStream=/a/path and Accept=no");
  }
  // Out of the way of the numbers that zygotes are started with.
  UniqueFd fd(::fcntl(kFirstPassed, F_DUPFD_CLOEXEC, 10));
  if (!fd) throw StartError("socket activation: cannot take over descriptor 3: " + errno_text());
  ::close(kFirstPassed);
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

std::string bound_path(int socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  const size_t length = size - offsetof(sockaddr_un, sun_path);
  std::string path(address.sun_path, std::min(length, sizeof address.sun_path));
  if (path.starts_with('\0')) return "@" + path.substr(1);
  return path.substr(0, path.find('\0'));
}

void tell_manager(std::string_view state) {
  const char* name = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view path = name == nullptr ? "" : name;
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  path.copy(address.sun_path, path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&address), size);
}

void tell_manager_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t us = int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
  tell_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}

}  // namespace azr
