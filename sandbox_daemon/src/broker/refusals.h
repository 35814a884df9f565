// Connections that are told why they are not served. Each is kept for a moment: one that is closed
// at once breaks the pipe of a client that is still writing its greeting, which then reads nothing.
#pragma once

#include <deque>
#include <string_view>
#include <utility>

#include "broker/event_loop.h"
#include "shared/unique_fd.h"

namespace azr {

class Refusals {
 public:
  explicit Refusals(EventLoop& loop) : loop_(loop) {}

  // `error`: the text of a RESP error.
  void refuse(UniqueFd socket, std::string_view error);

 private:
  void close_old();

  EventLoop& loop_;
  std::deque<std::pair<TimePoint, UniqueFd>> sockets_;  // and when each is closed
};

}  // namespace azr
