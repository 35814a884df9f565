// azr-sandboxd: runs untrusted Python programs for clients on a Unix socket.
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include "broker/broker.h"
#include "broker/check.h"
#include "broker/settings.h"
#include "commands/commands.h"
#include "shared/error.h"
#include "shared/options.h"

namespace azr {
namespace {

constexpr std::string_view kHelp =
    "azr-sandboxd --socket PATH [option value]...\n"
    "Runs untrusted Python programs; speaks RESP (the Redis protocol) on a Unix socket.\n\n";

constexpr std::pair<std::string_view, std::string_view> kOtherOptions[] = {
    {"config FILE", "lines of `option value`, without the dashes; options here win"},
    {"jail-optional", "serve without jails where there can be none"},
    {"parent-death", "end when the process that started this one ends"},
    {"paranoid",
     "compare all of a rewound process with its snapshot after every program: for tests"},
    {"check", "print each layer of isolation, on or off and why, and exit"},
    {"version, --help", "print it and exit"},
};

std::string help_line(std::string_view usage, std::string_view help) {
  std::string line = "  --" + std::string(usage);
  line.resize(std::max<size_t>(line.size() + 2, 24), ' ');
  return line.append(help) + "\n";
}

std::string help() {
  std::string text(kHelp);
  for (const auto& setting : settings()) {
    text += help_line(std::string(setting.name).append(" ").append(setting.value), setting.help);
  }
  for (const auto& [usage, what] : kOtherOptions) text += help_line(usage, what);
  return text + "\nSIGHUP reads --config again. README.md and PROTOCOL.md tell the rest.\n";
}

std::string zygote_executable() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) throw StartError("zygote: cannot read /proc/self/exe: mount /proc");
  const std::string self(path, static_cast<size_t>(size));
  const std::string zygote = self.substr(0, self.rfind('/') + 1) + "azr-zygote";
  if (::access(zygote.c_str(), X_OK) != 0) {
    throw StartError("zygote: " + zygote + " is missing: reinstall azr-sandboxd");
  }
  return zygote;
}

// Clients, pipes and pidfds are descriptors: as many as may be had without asking anybody.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Long requests and replies come and go: giving their pages back to the kernel and asking for
// others takes milliseconds, in which nobody is served.
void keep_freed_memory() {
  constexpr int kKept = 64 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kKept);
  ::mallopt(M_TRIM_THRESHOLD, kKept);
}

struct SchedulingAttributes {  // struct sched_attr (sched_setattr(2)), as it was at first
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
};

// Broker, zygotes and programs hand work to each other all the time: who wakes another one goes on
// first (sched(7)), and turns are short (since Linux 6.12), so that nobody waits long for his.
// Measured: a tenth more programs a second; on a busy virtual machine at half load a 99th
// percentile of 1.6 ms, not 2.1. Where it is not allowed, that is all that is lost.
void take_short_turns() {
  SchedulingAttributes own{};
  if (::syscall(SYS_sched_getattr, 0, &own, sizeof own, 0) != 0) return;
  own.policy = SCHED_BATCH;
  own.priority = 0;
  own.runtime_ns = 100'000;
  ::syscall(SYS_sched_setattr, 0, &own, 0);
}

int check(BrokerConfig config) {
  const Level wanted = config.require;
  const Layers layers = Broker(std::move(config), commands()).check();
  std::fputs(check_report(layers).c_str(), stdout);
  return level_of(layers) >= wanted ? 0 : 2;
}

int run(int argc, char** argv) {
  const pid_t parent = ::getppid();  // first of all: it may be about to die
  const Options options(
      argc, argv,
      {"--check", "--jail-optional", "--paranoid", "--parent-death", "--version", "--help"},
      valued_options());
  if (options.has("--help")) return std::fputs(help().c_str(), stdout), 0;
  if (options.has("--version")) return std::puts("azr-sandboxd " AZR_VERSION), 0;
  BrokerConfig config = load_config(options);
  config.zygote_executable = zygote_executable();
  config.paranoid = options.has("--paranoid");
  config.jail_optional = options.has("--jail-optional");
  if (options.has("--check")) return check(std::move(config));
  if (options.has("--parent-death")) config.end_with = parent;
  raise_descriptor_limit();
  take_short_turns();
  keep_freed_memory();
  Broker::Reread reread;
  if (options.has("--config")) reread = [&options] { return load_config(options); };
  Broker(std::move(config), commands(), std::move(reread)).serve();
  return 0;
}

}  // namespace
}  // namespace azr

int main(int argc, char** argv) {
  try {
    return azr::run(argc, argv);
  } catch (const azr::StartError& error) {
    std::fprintf(stderr, "azr-sandboxd: %s\n", error.what());
    return 2;
  }
}
