#include "client.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "resp_writer.h"

namespace azr {
namespace {

constexpr size_t kMaxRequests = 64u << 20;  // bytes of the commands in flight
constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kKeptBytes = 1u << 20;  // of an empty buffer

size_t bytes_of(const Command& command) {
  size_t bytes = 0;
  for (const std::string& word : command) bytes += word.size();
  return bytes;
}

}  // namespace

Client::Client(EventLoop& loop, UniqueFd socket, uint64_t id, const ClientLimits& limits,
               Events events)
    : loop_(loop),
      socket_(std::move(socket)),
      id_(id),
      limits_(limits),
      events_(std::move(events)) {
  interest_ = EPOLLIN;
  loop_.add(socket_.get(), interest_, [this](uint32_t happened) { on_events(happened); });
}

Client::~Client() {
  if (!closed_) loop_.remove(socket_.get());
}

Client::Slot Client::reserve() {
  slots_.push_back({std::make_shared<std::optional<std::string>>(), command_bytes_});
  request_bytes_ += std::exchange(command_bytes_, 0);
  return slots_.back().slot;
}

void Client::fill(const Slot& slot, std::string reply) {
  filled_bytes_ += reply.size();
  *slot = std::move(reply);
  if (!running_) flush();
}

bool Client::paused() const {
  return slots_.size() >= limits_.max_pending || request_bytes_ >= kMaxRequests || behind();
}

bool Client::behind() const { return filled_bytes_ + unsent() >= limits_.max_unread; }

bool Client::reads() const { return unsent() < limits_.max_unread; }

void Client::on_events(uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return close();
  if ((events & EPOLLIN) != 0 && !closing_) read_some();
  if (!closed_) flush();
}

void Client::read_some() {
  char buffer[kReadBytes];
  const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (size > 0) {
    parser_.feed({buffer, static_cast<size_t>(size)});
    run_commands();
  } else if (size == 0) {
    closing_ = true;  // it may still read what it asked for
  } else if (errno != EAGAIN && errno != EINTR) {
    close();
  }
}

void Client::run_commands() {
  running_ = true;
  while (!closing_ && !paused()) {
    auto command = parser_.next();
    if (!command) break;
    command_bytes_ = bytes_of(*command);
    events_.on_command(*this, std::move(*command));
  }
  if (!parser_.fault().empty() && !closing_) {
    RespWriter out(version);
    out.error("ERR Protocol error: " + parser_.fault());
    reply(out.take());
    closing_ = true;
  }
  running_ = false;
}

void Client::flush() {
  if (closed_) return;
  const bool was_paused = paused(), was_behind = behind(), did_read = reads();
  while (!slots_.empty() && slots_.front().slot->has_value()) {
    const std::string& reply = **slots_.front().slot;
    filled_bytes_ -= reply.size();
    out_ += reply;
    request_bytes_ -= slots_.front().request_bytes;
    slots_.pop_front();
  }
  if (!send_out()) return close();
  if ((was_behind && !behind()) || (!did_read && reads())) events_.on_room();
  if (answered()) events_.on_answered();
  if (closing_ && answered()) return close();
  if (was_paused && !paused()) {
    loop_.defer([this, alive = std::weak_ptr<int>(alive_)] {
      if (alive.expired() || closed_) return;
      run_commands();
      flush();
    });
  }
  update_interest();
}

// False when the connection is broken.
bool Client::send_out() {
  while (unsent() > 0) {
    const ssize_t size =
        ::send(socket_.get(), out_.data() + sent_, unsent(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != EAGAIN) return false;
    if (size < 0) break;
    sent_ += static_cast<size_t>(size);
  }
  // Moves at most as many bytes as were sent since the last time.
  if (sent_ >= unsent()) {
    out_.erase(0, sent_);
    sent_ = 0;
    if (out_.empty() && out_.capacity() > kKeptBytes) out_.shrink_to_fit();
  }
  return true;
}

void Client::update_interest() {
  const uint32_t wanted = (closing_ || paused() ? 0u : static_cast<uint32_t>(EPOLLIN)) |
                          (unsent() == 0 ? 0u : static_cast<uint32_t>(EPOLLOUT));
  if (wanted == interest_) return;
  interest_ = wanted;
  loop_.modify(socket_.get(), wanted);
}

void Client::close() {
  if (closed_) return;
  closed_ = true;
  loop_.remove(socket_.get());
  events_.on_closed(*this);
}

}  // namespace azr
