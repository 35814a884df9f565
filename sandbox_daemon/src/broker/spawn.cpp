#include "broker/spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <vector>

#include "shared/channel.h"
#include "shared/error.h"
#include "shared/program_limits.h"
#include "shared/random.h"

namespace azr {
namespace {

constexpr uint64_t kNamespacesButUser =
    CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
// Users of zygotes: beyond what distributions hand out.
constexpr uid_t kFirstUser = 0x6a5a0000;
constexpr uid_t kNobody = 65534;
// Inside a user namespace of root's making: 0 is root outside, 1 the zygote's own user.
constexpr uid_t kInnerUser = 1;

// One way to make a zygote, strongest first.
struct Attempt {
  uint64_t namespaces;
  uid_t outer_user;  // user outside to map and become; 0: stay who we are
};

std::vector<Attempt> attempts(unsigned slot) {
  const uid_t own = kFirstUser + slot;
  const bool root = ::geteuid() == 0;
  std::vector<Attempt> list;
  const auto add = [&](uint64_t namespaces) {
    if (root) {
      list.push_back({namespaces, own});
      list.push_back({namespaces, kNobody});
    }
    if (!root || namespaces & CLONE_NEWUSER) list.push_back({namespaces, 0});
  };
  add(kNamespacesButUser | CLONE_NEWUSER);
  if (root) add(kNamespacesButUser);
  add(0);
  return list;
}

bool write_file(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool map_ids(pid_t pid, uid_t outer_user) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/";
  const auto lines = [&](uid_t self) {
    std::string text = "0 " + std::to_string(self) + " 1\n";
    if (outer_user != 0) {
      text += std::to_string(kInnerUser) + " " + std::to_string(outer_user) + " 1\n";
    }
    return text;
  };
  if (outer_user == 0 && !write_file(folder + "setgroups", "deny")) return false;
  return write_file(folder + "uid_map", lines(::geteuid())) &&
         write_file(folder + "gid_map", lines(::getegid()));
}

// By clone, not clone3: container engines answer that one with ENOSYS, whatever its flags.
pid_t clone_process(uint64_t namespaces, UniqueFd& pidfd) {
  int fd = -1;
  const auto pid = static_cast<pid_t>(
      ::syscall(SYS_clone, namespaces | CLONE_PIDFD | SIGCHLD, nullptr, &fd, nullptr, nullptr));
  if (pid > 0) pidfd.reset(fd);
  return pid;
}

struct Launch {
  std::vector<std::string> arguments;
  int control;
  SharedFds shared;
  int go;  // a byte comes when the user map is written
};

// The clocks that only ever go on have a beginning of their own in each zygote, so that programs
// which run side by side do not read the same millisecond (time_namespaces(7)); where that cannot
// be had, replicas that read them more coarsely may agree.
void begin_clocks_at_random() {
  constexpr uint32_t kMostDays = 400;
  const auto drawn = random_value<std::array<uint32_t, 2>>();
  const std::string offset = " " + std::to_string(drawn[0] % (kMostDays * 86'400)) + " " +
                             std::to_string(drawn[1] % 1'000'000'000);
  if (::unshare(CLONE_NEWTIME) != 0) return;
  write_file("/proc/self/timens_offsets", "monotonic" + offset + "\nboottime" + offset + "\n");
}

// In the new process, which shares nothing with the broker's loop: only calls that are safe there.
[[noreturn]] void become_zygote(const Launch& launch) {
  char byte;
  if (::read(launch.go, &byte, 1) != 1) ::_exit(1);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();  // Ctrl-C is for the broker, which drains
  // First out of the way of each other, then to their places.
  int fds[] = {launch.control, launch.shared.region, launch.shared.out, launch.shared.err};
  for (int& fd : fds) fd = ::fcntl(fd, F_DUPFD, 10);
  static_assert(kRegionFd == kControlFd + 1 && kOutFd == kControlFd + 2 &&
                kErrFd == kControlFd + 3);
  for (int i = 0; i < 4; ++i) ::dup2(fds[i], kControlFd + i);
  ::close_range(kErrFd + 1, ~0U, 0);  // soon: until then the broker's socket lives on here
  begin_clocks_at_random();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  set_stack_limit();
  std::vector<char*> argv;
  for (const auto& text : launch.arguments) argv.push_back(const_cast<char*>(text.c_str()));
  argv.push_back(nullptr);
  char lang[] = "LANG=C.UTF-8", home[] = "HOME=/", zone[] = "TZ=UTC";
  char* environment[] = {lang, home, zone, nullptr};
  ::execve(argv[0], argv.data(), environment);
  ::_exit(127);
}

std::vector<std::string> arguments_for(const SpawnConfig& config, const Attempt& attempt,
                                       const std::string& why) {
  const bool user_ns = (attempt.namespaces & CLONE_NEWUSER) != 0;
  const uid_t drop_to = attempt.outer_user == 0 ? 0 : user_ns ? kInnerUser : attempt.outer_user;
  std::vector<std::string> arguments = {
      config.executable,
      "--seed=" + std::to_string(config.hash_seed),
      "--preload=" + config.preload,
      "--path=" + config.path,
      "--tier=" + std::string(tier_name(config.tier)),
      "--namespaces=" + std::to_string(attempt.namespaces),
      "--namespaces-why=" + why,
      "--drop-to=" + std::to_string(drop_to),
      "--drop-why=own user: azr-sandboxd may give its namespaces no other"};
  if (config.tier == Tier::kRewind) arguments.push_back("--core=" + std::to_string(config.core));
  if (config.paranoid) arguments.push_back("--paranoid");
  return arguments;
}

bool try_spawn(const SpawnConfig& config, const Attempt& attempt, const SharedFds& shared,
               std::string& why, Spawned& result) {
  int pair[2], go[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
      ::pipe2(go, O_CLOEXEC) != 0) {
    throw StartError("cannot make a socket pair: " + errno_text());
  }
  result.control.reset(pair[0]);
  const UniqueFd theirs(pair[1]), go_read(go[0]), go_write(go[1]);
  const Launch launch{arguments_for(config, attempt, why), theirs.get(), shared, go_read.get()};
  const pid_t pid = clone_process(attempt.namespaces, result.pidfd);
  if (pid == 0) {
    ::close(go_write.get());
    become_zygote(launch);
  }
  if (pid < 0) {
    why = "the kernel refuses new namespaces: " + errno_text();
    return false;
  }
  result.pid = pid;
  if ((attempt.namespaces & CLONE_NEWUSER) != 0 && !map_ids(pid, attempt.outer_user)) {
    why = "cannot map users: " + errno_text();
    ::syscall(SYS_pidfd_send_signal, result.pidfd.get(), SIGKILL, nullptr, 0);
    ::waitpid(pid, nullptr, 0);
    return false;
  }
  ::fcntl(result.control.get(), F_SETFL, O_NONBLOCK);
  return ::write(go_write.get(), "", 1) == 1;
}

}  // namespace

Spawned spawn_zygote(const SpawnConfig& config, const SharedFds& shared) {
  std::string why;
  for (const auto& attempt : attempts(config.slot)) {
    Spawned result;
    if (try_spawn(config, attempt, shared, why, result)) return result;
  }
  throw StartError("zygote: cannot start " + config.executable + ": " + why);
}

}  // namespace azr
