#include "broker/peer.h"

#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "shared/error.h"
#include "shared/options.h"

namespace azr {
namespace {

// Its supplementary groups when it connected.
std::vector<gid_t> groups_of(int socket) {
  std::vector<gid_t> groups(64);
  for (;;) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const int status = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
    if (status != 0 && errno != ERANGE) return {};
    groups.resize(size / sizeof(gid_t));  // when there are more, their number
    if (status == 0) return groups;
  }
}

// When it connected.
std::optional<ucred> peer_of(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer;
}

}  // namespace

gid_t find_group(const std::string& name) {
  uint64_t number = 0;
  if (const ::group* entry = ::getgrnam(name.c_str())) return entry->gr_gid;
  if (parse_number(name, number) && number < static_cast<gid_t>(-1)) {
    return static_cast<gid_t>(number);
  }
  throw StartError("--group: there is no group '" + name + "': see `getent group`, or groupadd it");
}

bool is_own_peer(int socket) {
  const auto peer = peer_of(socket);
  return peer && (peer->uid == ::geteuid() || peer->uid == 0);
}

bool may_connect(int socket, std::optional<gid_t> group) {
  if (is_own_peer(socket)) return true;
  const auto peer = peer_of(socket);
  if (!peer || !group) return false;
  const std::vector<gid_t> others = groups_of(socket);
  return peer->gid == *group || std::ranges::find(others, *group) != others.end();
}

}  // namespace azr
