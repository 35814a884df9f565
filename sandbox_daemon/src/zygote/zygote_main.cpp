// azr-zygote: a warm interpreter, locked in, that forks a child per program, or one child that is
// put back after each. Started by azr-sandboxd with its end of the control socket and the shared
// region; of no use by hand.
#include <Python.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>

#include "channel.h"
#include "child.h"
#include "end_handler.h"
#include "error.h"
#include "first_pid.h"
#include "fork_zygote.h"
#include "fresh_heaps.h"
#include "huge_memory.h"
#include "interpreter.h"
#include "jail.h"
#include "lockdown.h"
#include "memory_refusals.h"
#include "mounts.h"
#include "options.h"
#include "program.h"
#include "program_limits.h"
#include "region.h"
#if defined(__x86_64__)
#include "fixed_heap.h"
#include "rewind_place.h"
#include "rewind_rules.h"
#include "rewind_zygote.h"
#endif

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

Tier tier_of(const Options& options) {
  return parse_tier(options.text("--tier")).value_or(Tier::kFork);
}

LockdownConfig lockdown_config(const Options& options) {
  LockdownConfig config;
  config.namespaces = options.number("--namespaces", 0, 0, UINT32_MAX);
  config.namespaces_why = options.text("--namespaces-why");
  config.drop_to = static_cast<uid_t>(options.number("--drop-to", 0, 0, UINT32_MAX - 1));
  config.drop_why = options.text("--drop-why");
  config.import_paths = import_paths();
  config.jail = tier_of(options) == Tier::kJail;
  return config;
}

// Takes, as init of its own pid namespace, the filter that children inherit: installing one in each
// costs some 60 us, most of it the kernel's compiler.
bool take_filter(const Layers& layers) {
  SyscallFilter filter(
      program_rules({.writes_by_mount = is_on(layers, "root"), .inherited = true}));
  return ::getpid() == 1 && can_be_inherited(filter) && filter.install(1);
}

// What both kinds of zygote are before they are locked in.
void warm_up(const Options& options) {
  begin_process_ids_at_random();
  for (const int ignored : {SIGPIPE, SIGXFSZ}) ::signal(ignored, SIG_IGN);  // as CPython's own
  watch_arenas();
  start_interpreter({static_cast<uint32_t>(options.number("--seed", 0, 0, UINT32_MAX)),
                     options.text("--preload", kDefaultPreload), options.text("--path")});
  prepare_programs();
  forget_refused_memory();
  PyOS_BeforeFork();  // once for all forks: from here on Python runs in children only
  ::malloc_trim(0);   // merges free blocks now, once, rather than in every child
  make_heaps_fresh();
}

void check(const Region& region) {
  if (!region.valid()) throw StartError("region: cannot map it: " + errno_text());
}

[[noreturn]] void start_forking(const Options& options) {
  warm_up(options);
  move_to_huge_pages();  // while there is a /proc
  begin_mappings_at_any_page();
  const Region region(kRegionFd);  // now: it would have stood between what moves together
  check(region);
  ::close(kRegionFd);
  const bool sealed = install_end_handler(region, tier_of(options) == Tier::kJail);
  const uint64_t base_bytes = address_space_bytes();
  const Layer oom_score = offer_to_oom_killer();
  const LockdownConfig config = lockdown_config(options);
  Layers layers = lock_down(config);
  const Jail jail{readable_paths(config.import_paths), is_on(layers, "landlock")};
  SyscallFilter filter(
      program_rules({.writes_by_mount = is_on(layers, "root"), .jail = config.jail}));
  layers.push_back(probe_filter(filter));
  if (layers.back().on) {
    prove_end_handler(filter, region, config.jail);
    layers.back().why += sealed ? "; handler sealed" : "; handler not sealed (Linux 6.10)";
  }
  layers.push_back(probe_limits());
  layers.push_back(oom_score);
  const bool inherited = !config.jail && take_filter(layers);
  send_message(kControlFd, MessageType::kReady, serialize_layers(layers), {});
  ForkZygote({.job = nullptr,
              .region = &region,
              .filter = inherited ? nullptr : &filter,
              .base_bytes = base_bytes,
              .stdin_fd = -1,
              .jail = config.jail ? &jail : nullptr})
      .serve();
}

#if defined(__x86_64__)
[[noreturn]] void start_rewinding(const Options& options) {
  require_no_swap();
  const UniqueFd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc) throw StartError("rewind: cannot open /proc: " + errno_text());
  use_fixed_heap();
  const std::span<char> stack = make_runner_stack();
  warm_up(options);
  extend_fixed_heap();
  const Region region(kRegionFd);
  check(region);
  const Layer oom_score = offer_to_oom_killer();
  LockdownConfig config = lockdown_config(options);
  config.proc = proc.get();
  Layers layers = lock_down(config);
  pin_to_core(options.number("--core", 0, 0, UINT32_MAX));
  SyscallFilter filter(runner_rules(), SyscallAction::kTrace);
  layers.push_back(probe_tracing_filter(filter));
  layers.push_back(probe_limits());
  layers.push_back(oom_score);
  SyscallFilter own(supervisor_rules(), SyscallAction::kTrace);
  if (!own.install(::getpid())) throw StartError("rewind: the kernel refuses a filter");
  RewindZygote& zygote = RewindZygote::make({.proc = proc.get(),
                                             .region = &region,
                                             .filter = &filter,
                                             .stack = stack,
                                             .paranoid = options.has("--paranoid")});
  layers.push_back(
      {"rewind", true, "a snapshot of " + std::to_string(zygote.saved_pages()) + " pages"});
  send_message(kControlFd, MessageType::kReady, serialize_layers(layers), {});
  zygote.serve();
}
#else
[[noreturn]] void start_rewinding(const Options&) {
  throw StartError("rewind: is there on x86-64 only");
}
#endif

int run(int argc, char** argv) {
  try {
    const Options options(argc, argv, {"--paranoid"},
                          {"--seed", "--preload", "--path", "--tier", "--core", "--namespaces",
                           "--namespaces-why", "--drop-to", "--drop-why"});
    tier_of(options) == Tier::kRewind ? start_rewinding(options) : start_forking(options);
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
