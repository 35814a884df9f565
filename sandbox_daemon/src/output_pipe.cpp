#include "output_pipe.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

namespace azr {

OutputPipe::OutputPipe(EventLoop& loop, std::function<void()> on_data) : loop_(loop) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  read_.reset(ends[0]);
  write_.reset(ends[1]);
  ::fcntl(read_.get(), F_SETFL, O_NONBLOCK);  // the program's end stays blocking
  loop_.add(read_.get(), EPOLLIN, [on_data = std::move(on_data)](uint32_t) { on_data(); });
}

OutputPipe::~OutputPipe() {
  if (read_) loop_.remove(read_.get());
}

void OutputPipe::drain(size_t cap) {
  char buffer[65536];
  while (data_.size() < cap) {
    const size_t room = std::min(sizeof buffer, cap - data_.size());
    const ssize_t size = ::read(read_.get(), buffer, room);
    if (size > 0) data_.append(buffer, static_cast<size_t>(size));
    if (size < 0 && errno == EINTR) continue;
    if (size == 0) loop_.remove(read_.get());  // else the end of file would be reported for ever
    if (size <= 0) return;
  }
}

}  // namespace azr
