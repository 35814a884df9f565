// The floor under the rewind tier: supervisors and runners as in the daemon, without the broker,
// its clients and the layers that are put on once. Prints programs per second of `--processes`
// pairs side by side, each on a core of its own.
#include <Python.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "error.h"
#include "fixed_heap.h"
#include "fresh_heaps.h"
#include "interpreter.h"
#include "privileges.h"
#include "program.h"
#include "request.h"
#include "rewind_place.h"
#include "rewind_rules.h"
#include "side_by_side.h"
#include "supervisor.h"

namespace azr {
namespace {

// What a zygote keeps as long as it lives.
struct Pair {
  UniqueFd proc{::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  UniqueFd region_file = Region::create();
  Region region{region_file.get()};
  SyscallFilter filter{runner_rules(), SyscallAction::kTrace};
  std::span<char> stack;
  std::unique_ptr<Supervisor> supervisor;
};

// Where a zygote has its channel and the output streams of programs, which print nothing here. To
// be called while these descriptors are free.
void reserve_descriptors() {
  while (::open("/dev/null", O_WRONLY) < kErrFd) {
  }
}

// As a rewind zygote warms up.
std::shared_ptr<Pair> warm_up(const std::string& preload, uint64_t number) {
  auto pair = std::make_shared<Pair>();
  use_fixed_heap();
  pair->stack = make_runner_stack();
  start_interpreter({1, preload});
  prepare_programs();
  PyOS_BeforeFork();
  make_heaps_fresh();
  extend_fixed_heap();
  set_no_new_privs();
  pin_to_core(number);
  block_stop_signal();
  pair->supervisor = std::make_unique<Supervisor>(SupervisorConfig{.proc = pair->proc.get(),
                                                                   .region = &pair->region,
                                                                   .filter = &pair->filter,
                                                                   .stack = pair->stack,
                                                                   .paranoid = false});
  return pair;
}

// One program after another; false when one gave a wrong answer.
bool loop(const Work& work, Pair& pair) {
  const Request request{work.program, "f", {work.argument}};
  TaskHeader job;
  job.request_bytes = request_bytes(request);
  for (uint64_t i = 0; i < work.count; ++i) {
    pair.region.clear(pair.region_file.get());
    write_request(request, pair.region.input());
    if (!pair.supervisor->begin(job)) return false;
    std::optional<Stop> stop;
    while (!stop) stop = pair.supervisor->wait(std::chrono::seconds(1));
    if (!pair.supervisor->is_done(*stop)) return false;
    if (!answered(pair.region.output(), job, work.expect)) return false;
    if (!pair.supervisor->rewind()) return false;
  }
  return true;
}

}  // namespace
}  // namespace azr

int main(int argc, char** argv) {
  azr::reserve_descriptors();
  const azr::Work work = azr::work_from(argc, argv);
  ::_exit(azr::run_side_by_side(work, [&work](uint64_t number) {
    const auto pair = azr::warm_up(work.preload, number);
    return [&work, pair] { return azr::loop(work, *pair); };
  }));
}
