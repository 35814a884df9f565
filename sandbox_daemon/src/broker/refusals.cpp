#include "broker/refusals.h"

#include <sys/socket.h>

#include "resp/resp_writer.h"

namespace azr {
namespace {

constexpr size_t kMaxKept = 64;
constexpr Milliseconds kKept{1'000};

}  // namespace

void Refusals::refuse(UniqueFd socket, std::string_view error) {
  RespWriter out(2);
  out.error(error);
  const std::string line = out.take().front();
  ::send(socket.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(socket.get(), SHUT_WR);
  if (sockets_.size() == kMaxKept) sockets_.pop_front();
  sockets_.emplace_back(Clock::now() + kKept, std::move(socket));
  if (sockets_.size() == 1) loop_.call_after(kKept, [this] { close_old(); });
}

void Refusals::close_old() {
  while (!sockets_.empty() && sockets_.front().first <= Clock::now()) sockets_.pop_front();
  if (!sockets_.empty()) loop_.call_at(sockets_.front().first, [this] { close_old(); });
}

}  // namespace azr
