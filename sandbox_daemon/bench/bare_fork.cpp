// The floor under the fork tier: a warm interpreter, the daemon's own, that forks a child per
// program and isolates nothing. Prints programs per second of `--processes` such loops side by
// side.
#include <Python.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "error.h"
#include "fresh_heaps.h"
#include "huge_memory.h"
#include "interpreter.h"
#include "program.h"
#include "request.h"
#include "side_by_side.h"

namespace azr {
namespace {

std::span<char> shared_area() {
  constexpr size_t kBytes = 1 << 20;
  void* area = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) throw StartError("cannot map shared memory: " + errno_text());
  return {static_cast<char*>(area), kBytes};
}

// One program after another, each in a child; false when one gave a wrong answer.
bool loop(const Work& work, std::span<char> area) {
  const Request request{work.program, "f", {work.argument}};
  const TaskHeader job;
  for (uint64_t i = 0; i < work.count; ++i) {
    std::fill_n(area.data(), sizeof(uint64_t), '\0');
    const pid_t pid = ::fork();
    if (pid == 0) {
      PyOS_AfterFork_Child();
      RecordWriter records(area, job.token);
      run_program(job, request, records);
      ::_exit(0);
    }
    if (pid < 0 || ::waitpid(pid, nullptr, 0) != pid) return false;
    if (!answered(area, job, work.expect)) return false;
  }
  return true;
}

// As a zygote warms up.
void warm_up(const std::string& preload) {
  start_interpreter({1, preload});
  prepare_programs();
  PyOS_BeforeFork();
  make_heaps_fresh();
  move_to_huge_pages();
}

}  // namespace
}  // namespace azr

int main(int argc, char** argv) {
  const azr::Work work = azr::work_from(argc, argv);
  ::_exit(azr::run_side_by_side(work, [&work](uint64_t) {
    azr::warm_up(work.preload);
    const std::span<char> area = azr::shared_area();
    return [&work, area] { return azr::loop(work, area); };
  }));
}
