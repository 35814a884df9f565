// What a process leaves in the kernel shows.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "expect.h"
#include "kernel_state.h"
#include "unique_fd.h"

namespace azr {
namespace {

template <typename Change>
bool shows(Change change) {
  static const UniqueFd self(::open("/proc/self", O_PATH | O_DIRECTORY));
  const std::string before = kernel_state(self.get());
  if (kernel_state(self.get()) != before) return false;  // by itself nothing changes
  change();
  return kernel_state(self.get()) != before;
}

void every_trace_shows() {
  EXPECT(shows([] { ::dup2(1, 40); }));
  const int file = ::memfd_create("test", 0);
  EXPECT(file >= 0 && shows([file] { ::lseek(file, 5, SEEK_SET); }));
  EXPECT(shows([file] { ::fcntl(file, F_SETFL, O_APPEND); }));
  EXPECT(shows([] {
    timer_t timer;
    ::timer_create(CLOCK_MONOTONIC, nullptr, &timer);
  }));
  EXPECT(shows([] { ::signal(SIGUSR1, SIG_IGN); }));
  EXPECT(shows([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
  }));
  EXPECT(shows([] { ::raise(SIGUSR2); }));  // pending
  EXPECT(shows([] { ::umask(0777); }));
  EXPECT(shows([] { ::mmap(nullptr, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }));
  EXPECT(shows([] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
  }));
}

}  // namespace
}  // namespace azr

int main() {
  azr::every_trace_shows();
  return test_result();
}
