#include "broker/output_pipe.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

namespace azr {
namespace {

constexpr size_t kReadBytes = 65536;
constexpr size_t kTurnBytes = 4 * kReadBytes;  // a pipe holds less
constexpr size_t kReserveAt = 512u << 10;

// Bytes read; 0 when none are there.
size_t read_some(int fd, char* buffer, size_t room) {
  ssize_t size;
  do {
    size = ::read(fd, buffer, room);
  } while (size < 0 && errno == EINTR);
  return size > 0 ? static_cast<size_t>(size) : 0;
}

}  // namespace

OutputPipe::OutputPipe(EventLoop& loop) : loop_(loop) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  read_.reset(ends[0]);
  write_.reset(ends[1]);
  ::fcntl(read_.get(), F_SETFL, O_NONBLOCK);  // the program's end stays blocking
  loop_.add(read_.get(), EPOLLIN, [this](uint32_t) {
    const auto on_data = on_data_;  // outlives the end of the program
    if (on_data) on_data();
  });
}

OutputPipe::~OutputPipe() {
  if (read_) loop_.remove(read_.get());
}

void OutputPipe::begin(std::function<void()> on_data) { on_data_ = std::move(on_data); }

void OutputPipe::reset_flags() { ::fcntl(write_.get(), F_SETFL, 0); }

void OutputPipe::drain(size_t cap) {
  char buffer[kReadBytes];
  const size_t most = cap;
  cap = std::min(cap, data_.size() + kTurnBytes);
  while (data_.size() < cap) {
    const size_t size = read_some(read_.get(), buffer, std::min(sizeof buffer, cap - data_.size()));
    if (size == 0) return;
    // Room for all that may come, before there is so much that moving it takes long.
    if (data_.size() > kReserveAt && data_.capacity() < most) data_.reserve(most);
    data_.append(buffer, size);
  }
}

std::string OutputPipe::end(bool all_drained) {
  char buffer[kReadBytes];
  while (!all_drained && read_some(read_.get(), buffer, sizeof buffer) > 0) {
  }
  on_data_ = nullptr;
  return std::exchange(data_, {});
}

}  // namespace azr
