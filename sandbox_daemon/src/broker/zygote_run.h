// One program in flight in a zygote: its pipes, its deadlines, its kills.
#pragma once

#include <memory>
#include <optional>

#include "output_pipe.h"
#include "worker.h"

namespace azr {

class ZygoteRun {
 public:
  ZygoteRun(EventLoop& loop, const Task& task, TimePoint deadline, OutputPipe& out, OutputPipe& err,
            Worker::Deliver deliver);
  ~ZygoteRun();
  ZygoteRun(const ZygoteRun&) = delete;
  ZygoteRun& operator=(const ZygoteRun&) = delete;

  // Sends the job over `control`; false and errno when that failed.
  bool send(int control);
  // `cpu_before`: microseconds that the process had used before this program.
  void on_started(UniqueFd pidfd, int64_t cpu_before);
  // Judges the end, to which it adds what it killed, from the region's output, and delivers.
  void finish(Ending ending, std::span<const char> output);
  // Another tier must run it: what it wrote so far was never written.
  void finish_unserved(const Unserved& why);
  void kill(KillReason reason);
  bool killed() const { return killed_ != KillReason::kNone; }

  const JobHeader& header() const { return header_; }

 private:
  void on_output();
  void check_cpu();
  std::optional<Milliseconds> cpu_time();

  EventLoop& loop_;
  Worker::Deliver deliver_;
  JobHeader header_;
  size_t cases_;
  TimePoint started_ = Clock::now();
  OutputPipe& out_;
  OutputPipe& err_;
  std::optional<UniqueFd> stdin_;  // nothing: /dev/null
  UniqueFd pidfd_;
  std::chrono::microseconds cpu_before_{0};
  KillReason killed_ = KillReason::kNone;
  EventLoop::TimerId deadline_timer_;
  std::optional<EventLoop::TimerId> cpu_timer_;
};

}  // namespace azr
