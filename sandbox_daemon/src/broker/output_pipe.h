// One stream the programs of a zygote write to, one after another: the broker's end of a pipe,
// drained as it fills and empty between programs.
#pragma once

#include <string>

#include "broker/event_loop.h"
#include "shared/unique_fd.h"

namespace azr {

class OutputPipe {
 public:
  explicit OutputPipe(EventLoop& loop);
  ~OutputPipe();
  OutputPipe(const OutputPipe&) = delete;
  OutputPipe& operator=(const OutputPipe&) = delete;

  bool valid() const { return static_cast<bool>(read_); }
  int write_end() const { return write_.get(); }

  // A program begins: `on_data` runs after bytes came in through the loop.
  void begin(std::function<void()> on_data);
  // Undoes what a program did to the flags of the stream.
  void reset_flags();
  // Takes what is there now, up to `cap` bytes in all; of one that goes on writing only so much
  // that others have their turn.
  void drain(size_t cap);
  const std::string& data() const { return data_; }
  // The program has ended: its output, without what was not drained.
  std::string end(bool all_drained);

 private:
  EventLoop& loop_;
  UniqueFd read_, write_;
  std::function<void()> on_data_;
  std::string data_;
};

}  // namespace azr
