// What a process leaves in the kernel shows.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <string>

#include "expect.h"
#include "kernel_state.h"
#include "unique_fd.h"

namespace azr {
namespace {

int g_file = -1;

void nothing() {}
void descriptor() { ::dup2(g_file, 40); }
void offset() { ::lseek(g_file, 5, SEEK_SET); }
void flags() { ::fcntl(g_file, F_SETFL, O_APPEND); }
void file_mode() { ::umask(0777); }
void mapping() { ::mmap(nullptr, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
void pending_signal() { ::raise(SIGUSR2); }
void ignored_signal() { ::signal(SIGUSR1, SIG_IGN); }

void name() { ::prctl(PR_SET_NAME, "another"); }
void nice_value() { ::setpriority(PRIO_PROCESS, 0, 7); }
void folder() { ::chdir("/"); }
void execution_domain() { ::personality(ADDR_COMPAT_LAYOUT); }
void session() { ::setsid(); }
void huge_pages() { ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); }
void namespaces() { ::unshare(CLONE_NEWUSER); }

void processors() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  ::sched_setaffinity(0, sizeof one, &one);
}

void schedule() {
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_BATCH, &none);
}

void first_to_be_killed() {
  const UniqueFd file(::open("/proc/self/oom_score_adj", O_WRONLY));
  EXPECT(::write(file.get(), "1000", 4) == 4);
}

void thread() {
  static char stack[65536];
  ::clone([](void*) { return ::pause(); }, stack + sizeof stack,
          CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, nullptr);
}

void timer() {
  timer_t made;
  ::timer_create(CLOCK_MONOTONIC, nullptr, &made);
}

void blocked_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void limit() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

struct Change {
  void (*make)();
  bool shows;
};

// Later ones are made after the earlier.
constexpr Change kChanges[] = {{nothing, false},
                               {descriptor, true},
                               {offset, true},
                               {flags, true},
                               {file_mode, true},
                               {mapping, true},
                               {timer, true},
                               {ignored_signal, true},
                               {blocked_signal, true},
                               {pending_signal, true},
                               {limit, true},
                               {name, true},
                               {nice_value, true},
                               {folder, true},
                               {session, true},
                               {execution_domain, true},
                               {schedule, true},
                               {processors, true},
                               {first_to_be_killed, true},
                               {huge_pages, true},
                               {namespaces, true},
                               {thread, true}};

// A process that makes one change for every byte, and says so.
[[noreturn]] void obey(int socket) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  char byte;
  for (const Change& change : kChanges) {
    if (::read(socket, &byte, 1) != 1) break;
    change.make();
    if (::write(socket, "", 1) != 1) break;
  }
  for (;;) ::pause();
}

// Of the child, once it waits for the next byte; a busy machine has a minute.
std::string settled(int proc) {
  std::string state;
  for (int tries = 0; tries < 60000 && state.find("State:\tS") == state.npos; ++tries) {
    ::usleep(1000);
    state = kernel_state(proc);
  }
  return state;
}

void every_trace_shows() {
  g_file = ::memfd_create("test", 0);
  int ends[2];
  EXPECT(g_file >= 0 && ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) obey(ends[1]);
  const std::string folder = "/proc/" + std::to_string(child);
  const UniqueFd proc(::open(folder.c_str(), O_PATH | O_DIRECTORY));
  const auto say = [&] {
    char byte = 0;
    return ::write(ends[0], &byte, 1) == 1 && ::read(ends[0], &byte, 1) == 1;
  };
  for (size_t i = 0; i < std::size(kChanges); ++i) {
    const std::string before = settled(proc.get());
    EXPECT(!before.empty() && say());
    const bool shows = settled(proc.get()) != before;
    if (shows != kChanges[i].shows) std::printf("change %zu\n", i);
    EXPECT(shows == kChanges[i].shows);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace azr

int main() {
  azr::every_trace_shows();
  return test_result();
}
