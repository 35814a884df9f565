// A zygote whose programs run one after another in a process that is put back after each. It is
// handed jobs while another one runs, and returns those that must not wait.
#pragma once

#include <deque>

#include "broker/zygote.h"

namespace azr {

class RewindWorker : public Zygote {
 public:
  using Zygote::Zygote;

  // While the present program is quick, and does not look like one that must be waited for.
  bool has_room() const override;
  void start(const Task& task, Begin begin, Deliver deliver) override;

 private:
  void on_output() override;
  void on_done(const DoneReport& report, std::string_view records) override;
  bool handle_other(Message& message) override;
  void on_died() override;
  Milliseconds retry_delay() const override;
  void on_unserved(const Unserved& why);
  void on_returned();
  void go_on(bool waits);

  std::deque<std::unique_ptr<ZygoteRun>> waiting_;  // for the end of run_
  bool wrote_ = false;                              // the last program, what had to be taken first
};

}  // namespace azr
