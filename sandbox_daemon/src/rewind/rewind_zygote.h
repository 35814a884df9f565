// A zygote whose programs run in one process that is put back after each.
#pragma once

#include <memory>
#include <string>

#include "channel.h"
#include "supervisor.h"

namespace azr {

class RewindZygote {
 public:
  // Makes the first runner. Throws StartError.
  explicit RewindZygote(const SupervisorConfig& config);

  // Jobs of the broker, until it is gone.
  [[noreturn]] void serve();
  size_t saved_pages() const { return supervisor_->saved(); }

 private:
  void run(const JobHeader& job);
  Stop wait_for_stop(const JobHeader& job, int64_t cpu_before);
  void report(const Stop& stop, int64_t cpu_before) const;
  void replace();

  SupervisorConfig config_;
  std::unique_ptr<Supervisor> supervisor_;
};

}  // namespace azr
