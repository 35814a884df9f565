#include "lockdown.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "child.h"
#include "error.h"
#include "jail.h"
#include "landlock.h"
#include "mounts.h"
#include "privileges.h"
#include "program_limits.h"
#include "unique_fd.h"

namespace azr {
namespace {

struct NamespaceFlag {
  const char* name;
  unsigned long flag;
};
constexpr NamespaceFlag kNamespaces[] = {
    {"user_ns", CLONE_NEWUSER}, {"mount_ns", CLONE_NEWNS}, {"pid_ns", CLONE_NEWPID},
    {"net_ns", CLONE_NEWNET},   {"ipc_ns", CLONE_NEWIPC},  {"uts_ns", CLONE_NEWUTS},
};

void report_namespaces(Layers& layers, const LockdownConfig& config) {
  for (const auto& [name, flag] : kNamespaces) {
    const bool on = (config.namespaces & flag) != 0;
    layers.push_back({name, on, on ? "own" : config.namespaces_why});
  }
}

Layer enter_root(const LockdownConfig& config, const std::vector<std::string>& readable) {
  if ((config.namespaces & CLONE_NEWNS) == 0) return {"root", false, "needs mount_ns"};
  const std::string fault = enter_minimal_root(readable, config.import_paths, config.jail);
  return {"root", fault.empty(), fault.empty() ? "minimal and read-only" : fault};
}

// Asks a child.
template <typename Question>
bool ends_well(Question question) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(question() ? 0 : 1);
  int status = 1;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

// A layer that says it is on and is not would be worse than none.
void prove_root(const Layers& layers) {
  if (!is_on(layers, "root") && !is_on(layers, "landlock")) return;
  if (UniqueFd(::open("/etc/passwd", O_RDONLY | O_CLOEXEC))) {
    throw StartError(
        "root: /etc/passwd can still be read inside the sandbox: report this as a bug");
  }
  if (::mkdir("/azr-canary", 0700) == 0) {
    ::rmdir("/azr-canary");
    throw StartError(
        "root: directories can still be made inside the sandbox: report this as a bug");
  }
}

// Without them programs in a jail would not be kept from the zygote, or from the machine.
void expect_jailable(const Layers& layers) {
  for (const char* needed : {"user_ns", "mount_ns", "pid_ns", "net_ns", "ipc_ns", "root"}) {
    const auto found = std::ranges::find(layers, needed, &Layer::name);
    if (found == layers.end() || !found->on) {
      const std::string why = found == layers.end() ? "not reported" : found->why;
      throw StartError(std::string("jail: needs the layer ") + needed + ", which is off (" + why +
                       "): mend that, or start without --jail");
    }
  }
}

// What a program in a jail takes itself, tried with one.
void lock_jail(Layers& layers, const std::vector<std::string>& readable) {
  expect_jailable(layers);
  if (!keep_mount_capability()) throw StartError("jail: cannot drop capabilities: " + errno_text());
  layers.push_back(set_no_new_privs());
  const Layer landlock = probe_landlock();
  prove_jail(readable, landlock.on);
  layers.push_back({"capabilities", true, "none in programs; their zygote can mount, inside"});
  layers.push_back(landlock);
}

void lock_zygote(Layers& layers, const std::vector<std::string>& readable, int proc) {
  layers.push_back(drop_capabilities());
  layers.push_back(set_no_new_privs());
  layers.push_back(enter_landlock(readable, nullptr, proc));
}

// How a child ends that makes a forbidden call under the filter: by SIGILL when it went on.
int status_after_ptrace(SyscallFilter& filter) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGSYS, SIG_DFL);
    if (!filter.install(::getpid())) ::_exit(kExitFilterFailed);
    if (::syscall(SYS_ptrace, 0, 0, 0, 0) != 0 && errno == ENOSYS) __builtin_trap();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

Layer layer_of(const SyscallFilter& filter) {
  return {"seccomp", true, std::to_string(filter.program().size()) + " instructions"};
}

Layer not_installed(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kExitFilterFailed) {
    return {"seccomp", false, "the kernel refuses the filter"};
  }
  throw StartError("seccomp: a forbidden call went through: report this as a bug");
}

}  // namespace

Layer offer_to_oom_killer() {
  const UniqueFd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file && ::write(file.get(), "1000", 4) == 4) return {"oom_score", true, "killed first"};
  return {"oom_score", false, "cannot write /proc/self/oom_score_adj: " + errno_text()};
}

Layers lock_down(const LockdownConfig& config) {
  Layers layers;
  const auto readable = readable_paths(config.import_paths);
  report_namespaces(layers, config);
  if (is_on(layers, "uts_ns")) {
    [[maybe_unused]] const int named = ::sethostname("sandbox", 7);
  }
  layers.push_back(enter_root(config, readable));
  if (config.jail) open_output_to_all();
  const std::string probe = config.import_paths.empty() ? "/" : config.import_paths.back();
  drop_bounding_set();
  layers.push_back(config.drop_to != 0 ? drop_user(config.drop_to, probe)
                                       : Layer{"user", false, config.drop_why});
  config.jail ? lock_jail(layers, readable) : lock_zygote(layers, readable, config.proc);
  if (!hide_process()) throw StartError("cannot forbid core dumps: " + errno_text());
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user had cleared it
  prove_root(layers);
  return layers;
}

bool can_be_inherited(SyscallFilter& filter) {
  return ends_well([&filter] {
    if (!filter.install(::getpid()) || !ends_well([] { return true; })) return false;
    return apply_program_limits(Limits{}, kMaxMemory) && !ends_well([] { return true; });
  });
}

Layer probe_filter(SyscallFilter& filter) {
  const int status = status_after_ptrace(filter);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return layer_of(filter);
  return not_installed(status);
}

Layer probe_tracing_filter(SyscallFilter& filter) {
  const int status = status_after_ptrace(filter);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGILL) return layer_of(filter);
  return not_installed(status);
}

}  // namespace azr
