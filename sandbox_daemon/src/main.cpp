// azr-sandboxd: runs untrusted Python programs for clients on a Unix socket.
#include <sys/resource.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <thread>

#include "broker.h"
#include "check.h"
#include "error.h"
#include "options.h"

namespace azr {
namespace {

constexpr const char* kHelp =
    "azr-sandboxd --socket PATH [option value]...\n"
    "Runs untrusted Python programs; speaks RESP (the Redis protocol) on a Unix socket.\n\n"
    "  --socket PATH      serve here; the file is private to its owner\n"
    "  --zygotes N        warm interpreters (default: one per core, at least 2)\n"
    "  --require LEVEL    full | namespaces | seccomp: refuse to start below it (default: "
    "seccomp)\n"
    "  --preload A,B,...  modules imported once, before any program\n"
    "  --timeout MS       default limits of a program: wall clock (2000)\n"
    "  --cpu MS             CPU time (as the wall clock)\n"
    "  --memory BYTES       address space on top of the warm interpreter (536870912)\n"
    "  --output BYTES       what it writes, and the text of its results (1048576)\n"
    "  --parent-death     end when the process that started this one ends\n"
    "  --check            print each layer of isolation, on or off and why, and exit\n"
    "  --version, --help\n";

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

Level required_level(const Options& options) {
  const std::string name = options.text("--require", "seccomp");
  const auto level = parse_level(name);
  if (!level) {
    throw StartError("option --require must be full, namespaces or seccomp, not '" + name + "'");
  }
  return *level;
}

// Clients, pipes and pidfds are descriptors: as many as may be had without asking anybody.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

BrokerConfig configure(const Options& options) {
  BrokerConfig config;
  config.socket = options.text("--socket");
  config.zygote_executable = zygote_executable();
  config.preload = options.text("--preload", kDefaultPreload);
  const size_t cores = std::max(2u, std::thread::hardware_concurrency());
  config.zygotes = options.number("--zygotes", cores, 1, 256);
  config.require = required_level(options);
  config.limits.timeout_ms =
      options.number("--timeout", config.limits.timeout_ms, 1, kMaxTimeoutMs);
  config.limits.cpu_ms = options.number("--cpu", 0, 1, kMaxTimeoutMs);
  config.limits.memory = options.number("--memory", config.limits.memory, kMinMemory, kMaxMemory);
  config.limits.output = options.number("--output", config.limits.output, 0, kMaxOutput);
  config.limits.values = config.limits.output;
  return config;
}

int check(const Options& options) {
  const Level wanted = required_level(options);
  const Layers layers = Broker(configure(options)).check();
  std::fputs(check_report(layers).c_str(), stdout);
  return level_of(layers) >= wanted ? 0 : 2;
}

int run(int argc, char** argv) {
  const pid_t parent = ::getppid();  // first of all: it may be about to die
  const Options options(argc, argv, {"--check", "--parent-death", "--version", "--help"},
                        {"--socket", "--zygotes", "--require", "--preload", "--timeout", "--cpu",
                         "--memory", "--output"});
  if (options.has("--help")) return std::fputs(kHelp, stdout), 0;
  if (options.has("--version")) return std::puts("azr-sandboxd " AZR_VERSION), 0;
  if (options.has("--check")) return check(options);
  BrokerConfig config = configure(options);
  if (options.has("--parent-death")) config.end_with = parent;
  raise_descriptor_limit();
  Broker(std::move(config)).serve();
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
