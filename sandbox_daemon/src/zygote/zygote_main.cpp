// azr-zygote: a warm interpreter, locked in, that forks a child per program. Started by
// azr-sandboxd with its end of the control socket and the shared region; of no use by hand.
#include <malloc.h>
#include <pybind11/pybind11.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>

#include "channel.h"
#include "child.h"
#include "error.h"
#include "fresh_heaps.h"
#include "huge_memory.h"
#include "interpreter.h"
#include "jail.h"
#include "lockdown.h"
#include "mounts.h"
#include "options.h"
#include "program.h"
#include "program_limits.h"
#include "region.h"

namespace azr {
namespace {

uint64_t address_space_bytes() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  if (pages == 0) throw StartError("rlimits: cannot read /proc/self/statm: mount /proc");
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

Layer probe_limits() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(apply_program_limits(Limits{}, kMaxMemory) ? 0 : 1);
  int status = 1;
  const bool on = pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
  return {"rlimits", on, on ? "per program" : "the kernel refuses them"};
}

LockdownConfig lockdown_config(const Options& options) {
  LockdownConfig config;
  config.namespaces = options.number("--namespaces", 0, 0, UINT32_MAX);
  config.namespaces_why = options.text("--namespaces-why");
  config.drop_to = static_cast<uid_t>(options.number("--drop-to", 0, 0, UINT32_MAX - 1));
  config.drop_why = options.text("--drop-why");
  config.import_paths = import_paths();
  config.jail = parse_tier(options.text("--tier")) == Tier::kJail;
  return config;
}

// A child's end is waited for as a signal that is never delivered.
sigset_t sigchld() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return set;
}

void block_sigchld() {
  struct sigaction ends_only{};
  ends_only.sa_handler = SIG_DFL;
  ends_only.sa_flags = SA_NOCLDSTOP;
  ::sigaction(SIGCHLD, &ends_only, nullptr);
  const sigset_t set = sigchld();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

struct Ending {
  int status = 0;
  rusage usage{};
};

bool reap(pid_t child, int options, Ending& ending) {
  pid_t got;
  do {
    got = ::wait4(child, &ending.status, options, &ending.usage);
  } while (got < 0 && errno == EINTR);
  return got == child;
}

// Most programs end before anybody could want to kill them: of those the broker hears once. A
// signal left over from an earlier child only ends the wait early.
bool reap_quickly(pid_t child, Ending& ending) {
  static constexpr timespec kQuick{0, 5'000'000};
  const sigset_t set = sigchld();
  ::sigtimedwait(&set, nullptr, &kQuick);
  return reap(child, WNOHANG, ending);
}

DoneReport done_report(const Ending& ending) {
  const auto us = [](const timeval& t) { return int64_t{t.tv_sec} * 1'000'000 + t.tv_usec; };
  const rusage& usage = ending.usage;
  return {ending.status, us(usage.ru_utime) + us(usage.ru_stime), usage.ru_maxrss, usage.ru_minflt};
}

class Zygote {
 public:
  // `setup`: what is the same for all children.
  explicit Zygote(const ChildSetup& setup) : setup_(setup), is_init_(::getpid() == 1) {}

  // Writes to the stack only, and forks without asking Python again: a huge page that the zygote
  // wrote to is split for good, and the next forks copy its 512 entries.
  [[noreturn]] void serve() {
    block_sigchld();
    JobHeader job;
    UniqueFd stdin_fd;
    while (receive_job(kControlFd, job, stdin_fd)) run(job, std::exchange(stdin_fd, UniqueFd()));
    ::_exit(0);  // the broker is gone
  }

 private:
  void run(const JobHeader& job, UniqueFd stdin_fd) {
    const pid_t pid = setup_.jail != nullptr ? fork_jailed() : ::fork();
    if (pid == 0) {
      setup_.job = &job;
      setup_.stdin_fd = stdin_fd.get();
      run_child(setup_);
    }
    stdin_fd.reset();
    if (pid < 0) return report({kExitForkFailed << 8, 0, 0, 0});
    Ending ending;
    if (!reap_quickly(pid, ending)) {
      announce(pid);
      reap(pid, 0, ending);
    }
    if (is_init_) expect_no_orphans();
    report(done_report(ending));
  }

  // For the broker to kill it by. Not yet reaped, so this is the child and no other process.
  static void announce(pid_t child) {
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    const int handle = pidfd.get();
    if (pidfd) send_message(kControlFd, MessageType::kStarted, {}, {&handle, 1});
    if (!pidfd) ::kill(child, SIGKILL);
  }

  // No program can make a process. Should one exist all the same, it is now a child of init, and
  // ends with it.
  static void expect_no_orphans() {
    if (::waitpid(-1, nullptr, WNOHANG) >= 0) ::_exit(1);
  }

  static void report(const DoneReport& done) {
    if (!send_message(kControlFd, MessageType::kDone, as_bytes(done), {})) ::_exit(0);
  }

  ChildSetup setup_;
  bool is_init_;
};

// Takes, as init of its own pid namespace, the filter that children inherit: installing one in each
// costs some 60 us, most of it the kernel's compiler.
bool take_filter(const Layers& layers) {
  SyscallFilter filter(
      program_rules({.writes_by_mount = is_on(layers, "root"), .inherited = true}));
  return ::getpid() == 1 && can_be_inherited(filter) && filter.install(1);
}

[[noreturn]] void start(const Options& options) {
  ::signal(SIGPIPE, SIG_IGN);
  start_interpreter({static_cast<uint32_t>(options.number("--seed", 0, 0, UINT32_MAX)),
                     options.text("--preload", kDefaultPreload), options.text("--path")});
  prepare_programs();
  install_refusal_handler();
  PyOS_BeforeFork();  // once for all forks: from here on Python runs in children only
  ::malloc_trim(0);   // merges free blocks now, once, rather than in every child
  fill_heap_holes();
  move_to_huge_pages();            // while there is a /proc
  const Region region(kRegionFd);  // now: it would have stood between what moves together
  if (!region.valid()) throw StartError("region: cannot map it: " + errno_text());
  ::close(kRegionFd);
  const uint64_t base_bytes = address_space_bytes();
  const Layer oom_score = offer_to_oom_killer();
  const LockdownConfig config = lockdown_config(options);
  Layers layers = lock_down(config);
  const Jail jail{readable_paths(config.import_paths), is_on(layers, "landlock")};
  SyscallFilter filter(
      program_rules({.writes_by_mount = is_on(layers, "root"), .jail = config.jail}));
  layers.push_back(probe_filter(filter));
  layers.push_back(probe_limits());
  layers.push_back(oom_score);
  const bool inherited = !config.jail && take_filter(layers);
  send_message(kControlFd, MessageType::kReady, serialize_layers(layers), {});
  Zygote({.job = nullptr,
          .region = &region,
          .filter = inherited ? nullptr : &filter,
          .base_bytes = base_bytes,
          .stdin_fd = -1,
          .jail = config.jail ? &jail : nullptr})
      .serve();
}

int run(int argc, char** argv) {
  try {
    start(Options(argc, argv, {},
                  {"--seed", "--preload", "--path", "--tier", "--namespaces", "--namespaces-why",
                   "--drop-to", "--drop-why"}));
  } catch (const StartError& error) {
    if (!send_message(kControlFd, MessageType::kFailed, error.what(), {})) {
      std::fprintf(stderr, "azr-zygote: %s (it is started by azr-sandboxd)\n", error.what());
    }
  }
  return 2;
}

}  // namespace
}  // namespace azr

int main(int argc, char** argv) {
  const int status = azr::run(argc, argv);
  ::_exit(status);
}
