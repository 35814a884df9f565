// A zygote whose programs run in one process that is put back after each.
//
// The broker hands it jobs while another one runs: so it need not wait for its next. Those wait in
// the socket, of which the process that runs programs has no descriptor. They are returned to the
// broker where a program is not quick, or where the broker must first take what it wrote.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "area.h"
#include "channel.h"
#include "supervisor.h"

namespace azr {

class RewindZygote {
 public:
  // Makes the one of this process, and its first runner. It lies in memory of which runners get no
  // copy, so that programs cannot read there what others did. Throws StartError.
  static RewindZygote& make(const SupervisorConfig& config);

  // Jobs of the broker, until it is gone.
  [[noreturn]] void serve();
  size_t saved_pages() const { return supervisor_->saved(); }

 private:
  using Clock = std::chrono::steady_clock;
  explicit RewindZygote(const SupervisorConfig& config);
  void make_supervisor();
  std::optional<MessageType> take_message(int flags);
  bool take_request();
  // In a frame of its own, of which nothing is left when a runner is made.
  __attribute__((noinline)) bool run();
  Stop wait_for_stop(std::chrono::milliseconds timeout);
  void wait_for_go();
  void return_job();
  bool report(const Stop& stop);
  bool report_unserved(int syscall, const Usage& usage);
  bool report_done(const Stop& stop);
  void replace();
  bool try_make_supervisor(std::string& fault);

  SupervisorConfig config_;
  std::optional<Supervisor> supervisor_;
  // The last message; no runner may have a copy of it. Of a job: its request lies there, or in a
  // file.
  std::optional<Area<char>> packet_;
  TaskHeader job_;
  std::string_view request_;
  UniqueFd long_request_;
  // Of the program that runs.
  Clock::time_point begun_;
  Usage before_;        // of the runner
  bool waits_ = false;  // for the broker to take what it wrote
};

}  // namespace azr
