#include "channel.h"

#include <sys/socket.h>

#include <cassert>
#include <cerrno>
#include <cstring>

namespace azr {
namespace {

constexpr size_t kMaxFds = 4;

ssize_t retry_receive(int socket, msghdr* header, int flags = 0) {
  ssize_t size;
  do {
    size = ::recvmsg(socket, header, MSG_CMSG_CLOEXEC | flags);
  } while (size < 0 && errno == EINTR);
  return size;
}

template <typename Take>
void take_fds(msghdr& header, Take take) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      take(UniqueFd(fd));
    }
  }
}

// What a packet and its descriptors are received into.
struct Packet {
  explicit Packet(std::span<iovec> parts) {
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  bool truncated() const { return (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0; }

  msghdr header{};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
};

}  // namespace

bool send_message(int socket, MessageType type, std::string_view body, std::span<const int> fds,
                  std::string_view more) {
  if (body.size() >= kMaxPacket) body = body.substr(0, kMaxPacket - 1);
  assert(body.size() + more.size() < kMaxPacket);
  iovec parts[3] = {{&type, 1},
                    {const_cast<char*>(body.data()), body.size()},
                    {const_cast<char*>(more.data()), more.size()}};
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = 3;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(body.size() + more.size() + 1);
}

std::optional<Message> receive_message(int socket) {
  char buffer[kMaxPacket];
  iovec part{buffer, sizeof buffer};
  Packet packet({&part, 1});
  const ssize_t size = retry_receive(socket, &packet.header);
  if (size < 0) return std::nullopt;
  Message message{static_cast<MessageType>(buffer[0]), {}, {}};
  take_fds(packet.header, [&](UniqueFd fd) { message.fds.push_back(std::move(fd)); });
  if (size == 0 || packet.truncated()) {
    errno = size == 0 ? 0 : EMSGSIZE;
    return std::nullopt;
  }
  message.body.assign(buffer + 1, static_cast<size_t>(size) - 1);
  return message;
}

bool receive_task(int socket, TaskHeader& task, UniqueFd& stdin_fd) {
  MessageType type{};
  iovec parts[2] = {{&type, sizeof type}, {&task, sizeof task}};
  Packet packet(parts);
  const ssize_t size = retry_receive(socket, &packet.header);
  if (size > 0) take_fds(packet.header, [&](UniqueFd fd) { stdin_fd = std::move(fd); });
  return size == static_cast<ssize_t>(sizeof type + sizeof task) && type == MessageType::kTask &&
         !packet.truncated();
}

std::optional<MessageView> receive_into(int socket, std::span<char> buffer, UniqueFd& fd,
                                        int flags) {
  iovec part{buffer.data(), buffer.size()};
  Packet packet({&part, 1});
  const ssize_t size = retry_receive(socket, &packet.header, flags);
  if (size <= 0) return std::nullopt;
  take_fds(packet.header, [&](UniqueFd received) { fd = std::move(received); });
  if (packet.truncated()) return std::nullopt;
  return MessageView{static_cast<MessageType>(buffer[0]),
                     {buffer.data() + 1, static_cast<size_t>(size) - 1}};
}

}  // namespace azr
