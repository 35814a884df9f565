#include "broker/client.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "broker/peer.h"

namespace azr {
namespace {

constexpr size_t kMaxRequests = 64u << 20;  // bytes of the commands in flight
constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kSmallRequest = 64u << 10;  // that every client may have besides the common limit
constexpr size_t kSendBytes = 256u << 10;    // in one turn of the loop
constexpr size_t kPieces = 64;               // replies in one system call
// A client's commands run so long in one turn: the slices of all clients are what others wait for.
constexpr std::chrono::microseconds kSlice{50};

size_t bytes_of(const std::vector<std::string>& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}

}  // namespace

Client::Client(EventLoop& loop, UniqueFd socket, uint64_t id, const ClientLimits& limits,
               uint64_t& queued, Events events)
    : loop_(loop),
      socket_(std::move(socket)),
      id_(id),
      limits_(limits),
      queued_(queued),
      events_(std::move(events)),
      is_owner_(is_own_peer(socket_.get())),
      parser_({.bounds = events_.bounds, .may_keep = [this](size_t) { return may_keep(); }}) {
  interest_ = EPOLLIN;
  loop_.add(socket_.get(), interest_, [this](uint32_t happened) { on_events(happened); });
}

Client::~Client() {
  if (impatience_) loop_.cancel(*impatience_);
  if (!closed_) loop_.remove(socket_.get());
}

// A long request that is not whole yet is part of what all clients may have queued.
bool Client::may_keep() {
  const size_t bytes = parser_.unfinished();
  if (bytes <= kSmallRequest) return true;
  held_.reset();
  if (queued_ + bytes > limits_.max_queued) return false;
  held_.emplace(queued_, bytes);
  if (!impatience_) watch_request();
  return true;
}

// While it is left unread the client cannot send the rest of it.
void Client::watch_request() {
  impatience_ = loop_.call_after(Milliseconds(limits_.patience_ms), [this] {
    impatience_.reset();
    if (paused()) return watch_request();
    fail("a long request was not whole after " + std::to_string(limits_.patience_ms) +
         " ms, --patience");
    flush();
  });
}

void Client::fail(const std::string& what) {
  RespWriter out(version);
  out.error("ERR Protocol error: " + what);
  reply(out.take());
  closing_ = true;
}

Client::Slot Client::reserve() {
  slots_.push_back({std::make_shared<std::optional<Reply>>(), command_bytes_});
  request_bytes_ += std::exchange(command_bytes_, 0);
  return slots_.back().slot;
}

void Client::fill(const Slot& slot, Reply reply) {
  filled_bytes_ += bytes_of(reply);
  *slot = std::move(reply);
  if (!running_) flush();
}

bool Client::paused() const {
  return slots_.size() >= limits_.max_pending || request_bytes_ >= kMaxRequests || behind();
}

bool Client::behind() const { return filled_bytes_ + unsent_ >= limits_.max_unread; }

bool Client::reads() const { return unsent_ < limits_.max_unread; }

void Client::on_events(uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return close();
  if ((events & EPOLLIN) != 0 && !closing_ && !goes_on_) read_some();
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
  const TimePoint end = Clock::now() + kSlice;
  while (!closing_ && !paused()) {
    auto command = parser_.next();
    if (!command) break;
    run_command(std::move(*command));
    if (Clock::now() < end) continue;
    go_on_soon();
    break;
  }
  if (!parser_.fault().empty() && !closing_) fail(parser_.fault());
  running_ = false;
}

void Client::run_command(Command command) {
  held_.reset();
  if (impatience_) loop_.cancel(*std::exchange(impatience_, std::nullopt));
  command_bytes_ = bytes_of(command);
  if (parser_.was_kept()) {
    events_.on_command(*this, std::move(command));
  } else {
    events_.on_too_much(*this);
  }
}

// Others have their turn first.
void Client::go_on_soon() {
  if (std::exchange(goes_on_, true)) return;
  loop_.soon([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || closed_) return;
    goes_on_ = false;
    run_commands();
    flush();
  });
}

void Client::flush() {
  if (closed_) return;
  const bool was_paused = paused(), was_behind = behind(), did_read = reads();
  while (!slots_.empty() && slots_.front().slot->has_value()) {
    Reply& reply = **slots_.front().slot;
    const size_t bytes = bytes_of(reply);
    filled_bytes_ -= bytes;
    unsent_ += bytes;
    std::ranges::move(reply, std::back_inserter(out_));
    request_bytes_ -= slots_.front().request_bytes;
    slots_.pop_front();
  }
  if (!send_out()) return close();
  if ((was_behind && !behind()) || (!did_read && reads())) events_.on_room();
  if (answered()) events_.on_answered();
  if (closing_ && answered()) return close();
  if (was_paused && !paused()) go_on_soon();
  update_interest();
}

// A few replies at once, of a long one a piece: a client that reads meanwhile would keep the kernel
// busy with all of it. False when the connection is broken.
bool Client::send_out() {
  for (size_t room = kSendBytes; !out_.empty() && room > 0;) {
    iovec pieces[kPieces];
    msghdr message{};
    message.msg_iov = pieces;
    size_t skip = sent_, left = room;
    for (size_t i = 0; i < std::min(kPieces, out_.size()) && left > 0; ++i, skip = 0) {
      pieces[i] = {out_[i].data() + skip, std::min(left, out_[i].size() - skip)};
      left -= pieces[i].iov_len;
      message.msg_iovlen = i + 1;
    }
    const ssize_t size = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    room -= static_cast<size_t>(size);
    note_sent(static_cast<size_t>(size));
  }
  return true;
}

void Client::note_sent(size_t size) {
  unsent_ -= size;
  for (sent_ += size; !out_.empty() && sent_ >= out_.front().size(); out_.pop_front()) {
    sent_ -= out_.front().size();
  }
}

void Client::update_interest() {
  const uint32_t wanted = (closing_ || paused() ? 0u : static_cast<uint32_t>(EPOLLIN)) |
                          (out_.empty() ? 0u : static_cast<uint32_t>(EPOLLOUT));
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
