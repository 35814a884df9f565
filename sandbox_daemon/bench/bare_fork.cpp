// The floor under the fork tier: a warm interpreter, the daemon's own, that forks a child per
// program and isolates nothing. Prints programs per second of `--processes` such loops side by
// side.
//
// usage: azr-bare-fork [--processes N] [--count N] [--preload A,B,...] [--program TEXT]
//                      [--argument TEXT] [--expect TEXT]
#include <pybind11/pybind11.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "channel.h"
#include "error.h"
#include "frames.h"
#include "fresh_heaps.h"
#include "huge_memory.h"
#include "interpreter.h"
#include "options.h"
#include "program.h"
#include "request.h"

namespace azr {
namespace {

using Clock = std::chrono::steady_clock;

struct Work {
  std::string program, argument, expect;
  uint64_t count;
};

std::span<char> shared_area() {
  constexpr size_t kBytes = 1 << 20;
  void* area = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) throw StartError("cannot map shared memory: " + errno_text());
  return {static_cast<char*>(area), kBytes};
}

bool answered(std::span<char> area, const JobHeader& job, const std::string& expect) {
  const auto records = read_records(area, job.token);
  return records && records->size() == 3 && (*records)[1].value == expect;
}

// One program after another, each in a child; false when one gave a wrong answer.
bool loop(const Work& work, std::span<char> area) {
  const Request request{work.program, "f", {work.argument}};
  const JobHeader job;
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
  fill_heap_holes();
  move_to_huge_pages();
}

struct Pipe {
  int ends[2];
  Pipe() {
    if (::pipe(ends) != 0) throw StartError("cannot make a pipe: " + errno_text());
  }
};

// Says that it is warm, and begins when the other end of `go` is closed.
[[noreturn]] void run_loop(const Work& work, const std::string& preload, Pipe ready, Pipe go) {
  ::close(go.ends[1]);
  warm_up(preload);
  const std::span<char> area = shared_area();
  char byte = 0;
  const bool told = ::write(ready.ends[1], &byte, 1) == 1;
  if (!told || ::read(go.ends[0], &byte, 1) != 0) ::_exit(1);
  ::_exit(loop(work, area) ? 0 : 1);
}

// Seconds that `processes` loops side by side take, interpreter start apart.
double measure(uint64_t processes, const Work& work, const std::string& preload) {
  const Pipe ready, go;
  std::vector<pid_t> loops;
  for (uint64_t i = 0; i < processes; ++i) {
    loops.push_back(::fork());
    if (loops.back() == 0) run_loop(work, preload, ready, go);
  }
  ::close(ready.ends[1]);
  char byte;
  for (uint64_t i = 0; i < processes; ++i) {
    if (::read(ready.ends[0], &byte, 1) != 1) throw StartError("a loop could not start");
  }
  const auto begin = Clock::now();
  ::close(go.ends[1]);
  for (const pid_t pid : loops) {
    int status = 1;
    if (::waitpid(pid, &status, 0) != pid || status != 0) throw StartError("a wrong answer");
  }
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

int run(int argc, char** argv) {
  const Options options(
      argc, argv, {},
      {"--processes", "--count", "--preload", "--program", "--argument", "--expect"});
  const uint64_t processes = options.number("--processes", 2, 1, 256);
  const Work work{options.text("--program", "def f(x): return sorted(x)"),
                  options.text("--argument", "[3, 1, 2]"), options.text("--expect", "[1, 2, 3]"),
                  options.number("--count", 2000, 1, 10'000'000)};
  const double seconds = measure(processes, work, options.text("--preload", kDefaultPreload));
  std::printf("%.0f\n", static_cast<double>(processes * work.count) / seconds);
  return 0;
}

}  // namespace
}  // namespace azr

int main(int argc, char** argv) {
  try {
    std::fflush(nullptr);
    const int status = azr::run(argc, argv);
    std::fflush(stdout);
    ::_exit(status);
  } catch (const azr::StartError& error) {
    std::fprintf(stderr, "azr-bare-fork: %s\n", error.what());
    ::_exit(2);
  }
}
