// A zygote that forks a child per program.
#pragma once

#include "channel.h"
#include "child.h"
#include "unique_fd.h"

namespace azr {

class ForkZygote {
 public:
  // `setup`: what is the same for all children.
  explicit ForkZygote(const ChildSetup& setup);

  // Jobs of the broker, until it is gone.
  [[noreturn]] void serve();

 private:
  void run(const TaskHeader& job, UniqueFd stdin_fd);

  ChildSetup setup_;
  bool is_init_;
};

}  // namespace azr
