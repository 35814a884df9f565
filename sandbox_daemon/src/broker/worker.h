// What runs programs, as the scheduler sees it.
#pragma once

#include <functional>
#include <string_view>

#include "broker/event_loop.h"
#include "broker/outcome.h"
#include "shared/channel.h"
#include "shared/request.h"

namespace azr {

// What a worker runs of a job, as one program. The views must live until the outcome is delivered.
struct Task {
  JobKind kind = JobKind::kCall;
  Request request;
  std::string_view stdin_data;
  Limits limits;
  bool has_seed = false;
  int64_t seed = 0;
  bool falls_back = false;  // the worker may say that its tier cannot serve it
  uint32_t replica = 0;     // of the job's
};

class Worker {
 public:
  using Begin = std::function<TimePoint()>;  // the task begins now; by when it must end
  using Deliver = std::function<void(Outcome)>;
  virtual ~Worker() = default;

  virtual bool idle() const = 0;
  virtual bool has_room() const = 0;  // would take a task to begin when its present one has ended
  virtual bool alive() const = 0;     // will be idle again
  // Runs `task` to its end and delivers once, from the loop. To be called when it is idle or has
  // room.
  virtual void start(const Task& task, Begin begin, Deliver deliver) = 0;
  // Kills what runs, not what waits for that; its outcome is delivered all the same.
  virtual void cancel() = 0;
};

}  // namespace azr
