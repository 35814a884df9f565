// One stream a program writes to: the broker's end of a pipe, drained as it fills.
#pragma once

#include <string>

#include "event_loop.h"
#include "unique_fd.h"

namespace azr {

class OutputPipe {
 public:
  // `on_data` runs after bytes came in through the loop.
  OutputPipe(EventLoop& loop, std::function<void()> on_data);
  ~OutputPipe();
  OutputPipe(const OutputPipe&) = delete;
  OutputPipe& operator=(const OutputPipe&) = delete;

  bool valid() const { return static_cast<bool>(read_); }
  int write_end() const { return write_.get(); }
  void close_write_end() { write_.reset(); }
  // Takes what is there now, at most `cap` bytes in all.
  void drain(size_t cap);
  std::string& data() { return data_; }

 private:
  EventLoop& loop_;
  UniqueFd read_, write_;
  std::string data_;
};

}  // namespace azr
