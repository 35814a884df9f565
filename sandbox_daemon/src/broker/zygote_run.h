// One program that a zygote was given: its pipes, its deadlines, its kills.
#pragma once

#include <memory>
#include <optional>

#include "broker/output_pipe.h"
#include "broker/worker.h"
#include "shared/region.h"

namespace azr {

class ZygoteRun {
 public:
  ZygoteRun(EventLoop& loop, const Task& task, OutputPipe& out, OutputPipe& err,
            Worker::Begin begin, Worker::Deliver deliver);
  ~ZygoteRun();
  ZygoteRun(const ZygoteRun&) = delete;
  ZygoteRun& operator=(const ZygoteRun&) = delete;

  enum class Load { kMore, kWhole, kFailed };
  // Puts a piece of what the program needs in place: in the region, which is cleared before, its
  // request; in a file its stdin. `region_fd` is the region's.
  Load load(const Region& region, int region_fd);
  bool is_loaded() const { return loaded_; }
  // Sends the job over `control`, when its request is loaded or together with it; false and errno
  // when that failed.
  bool send(int control);
  bool send_with_request(int control);
  // The pipes are this program's from now on; `on_output` runs when something has come. By when it
  // must end.
  TimePoint begin(const std::function<void()>& on_output);
  void take_output();
  // `cpu_before`: microseconds that the process had used before this program.
  void on_started(UniqueFd pidfd, int64_t cpu_before);
  bool is_quick() const { return !pidfd_ && !killed(); }  // so far
  // Judges the end, to which it adds what it killed, from the records, and delivers. What the pipes
  // hold is this program's only if `owns_pipes`.
  void finish(Ending ending, std::span<const char> records, bool owns_pipes);
  // Another tier must run it: what it wrote so far was never written.
  void finish_unserved(const Unserved& why, bool owns_pipes);
  // It was not begun.
  void finish_returned();
  void kill(KillReason reason);
  bool killed() const { return killed_ != KillReason::kNone; }

  const TaskHeader& header() const { return header_; }

 private:
  Load load_stdin(size_t& room);
  void check_cpu();
  std::optional<Milliseconds> cpu_time();

  EventLoop& loop_;
  Worker::Begin begin_;
  Worker::Deliver deliver_;
  Request request_;
  TaskHeader header_;
  size_t cases_;
  TimePoint started_;
  OutputPipe& out_;
  OutputPipe& err_;
  size_t cleared_ = 0;           // of the region
  std::string_view stdin_left_;  // to be loaded
  UniqueFd stdin_;               // none: /dev/null
  std::optional<RequestWriter> writer_;
  bool loaded_ = false;
  UniqueFd pidfd_;
  std::chrono::microseconds cpu_before_{0};
  KillReason killed_ = KillReason::kNone;
  std::optional<EventLoop::TimerId> deadline_timer_, cpu_timer_;
};

}  // namespace azr
