#include "broker/settings.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "shared/error.h"

namespace azr {
namespace {

constexpr uint64_t kMaxCount = 1'000'000;
constexpr uint64_t kMaxBytes = 1ull << 40;
constexpr uint64_t kMinQueued = 64ull << 20;  // room for any one job
constexpr uint64_t kFdsPerZygote = 16, kFdsOfBroker = 128;

// A setting that is a number in [low, high], somewhere in the configuration.
template <auto Place, uint64_t low, uint64_t high>
constexpr Setting number(std::string_view name, std::string_view value, std::string_view help,
                         bool live) {
  return {name,
          value,
          help,
          live,
          [](BrokerConfig& config, const Options& options, const std::string& option) {
            auto& place = Place(config);
            place = options.number(option, place, low, high);
          },
          [](const BrokerConfig& config) {
            return std::to_string(Place(const_cast<BrokerConfig&>(config)));
          }};
}

template <auto Member>
constexpr Setting text(std::string_view name, std::string_view value, std::string_view help,
                       bool live) {
  return {name,
          value,
          help,
          live,
          [](BrokerConfig& config, const Options& options, const std::string& option) {
            config.*Member = options.text(option, config.*Member);
          },
          [](const BrokerConfig& config) { return config.*Member; }};
}

void read_level(BrokerConfig& config, const Options& options, const std::string& option) {
  const std::string name = options.text(option, std::string(level_name(config.require)));
  const auto level = parse_level(name);
  if (!level) {
    throw StartError("option --require must be full, namespaces or seccomp, not '" + name + "'");
  }
  config.require = *level;
}

void read_output(BrokerConfig& config, const Options& options, const std::string& option) {
  config.rules.defaults.output =
      options.number(option, config.rules.defaults.output, 0, kMaxOutput);
  config.rules.defaults.values = config.rules.defaults.output;
}

void read_pools(BrokerConfig& config, const Options& options, const std::string& option) {
  config.pools = options.text(option, config.pools);
  parse_pools(config.pools);
}

constexpr auto kZygotes = [](BrokerConfig& c) -> size_t& { return c.pool.zygotes; };
constexpr auto kRewind = [](BrokerConfig& c) -> size_t& { return c.rewind; };
constexpr auto kJail = [](BrokerConfig& c) -> size_t& { return c.jail; };
constexpr auto kTimeout = [](BrokerConfig& c) -> uint64_t& { return c.rules.defaults.timeout_ms; };
constexpr auto kMemory = [](BrokerConfig& c) -> uint64_t& { return c.rules.defaults.memory; };
constexpr auto kMostTime = [](BrokerConfig& c) -> uint64_t& { return c.rules.max_timeout_ms; };
constexpr auto kMostMemory = [](BrokerConfig& c) -> uint64_t& { return c.rules.max_memory; };
constexpr auto kMostOutput = [](BrokerConfig& c) -> uint64_t& { return c.rules.max_output; };
constexpr auto kPatience = [](BrokerConfig& c) -> uint64_t& { return c.clients.patience_ms; };
constexpr auto kClients = [](BrokerConfig& c) -> uint64_t& { return c.clients.max_clients; };
constexpr auto kPending = [](BrokerConfig& c) -> uint64_t& { return c.clients.max_pending; };
constexpr auto kUnread = [](BrokerConfig& c) -> uint64_t& { return c.clients.max_unread; };
constexpr auto kQueued = [](BrokerConfig& c) -> uint64_t& { return c.clients.max_queued; };

constexpr Setting kSettings[] = {
    text<&BrokerConfig::socket>("socket", "PATH", "serve here; the file is private to its owner",
                                false),
    text<&BrokerConfig::group>("group", "NAME|GID",
                               "its members may connect too (default: owner and root only)", false),
    number<kZygotes, 1, kMaxZygotes>("zygotes", "N", "warm interpreters (two per core)", false),
    {"require", "LEVEL", "full | namespaces | seccomp: refuse to start below it (seccomp)", false,
     read_level,
     [](const BrokerConfig& config) { return std::string(level_name(config.require)); }},
    {"preload", "A,B,...", "modules imported once, before any program", false,
     [](BrokerConfig& config, const Options& options, const std::string& option) {
       config.pool.preload = options.text(option, config.pool.preload);
     },
     [](const BrokerConfig& config) { return config.pool.preload; }},
    {"pools", "'NAME=N:A,B ...'", "more zygotes, with other modules, for jobs that say POOL NAME",
     false, read_pools, [](const BrokerConfig& config) { return config.pools; }},
    number<kRewind, 0, kMaxZygotes>(
        "rewind", "N",
        "of each pool: zygotes that serve most programs at several times the speed (0)", false),
    number<kJail, 0, kMaxZygotes>(
        "jail", "N", "zygotes for jobs that say TIER jail: processes, threads, files (0)", false),
    text<&BrokerConfig::path>("path", "DIR:DIR", "more folders that programs import from", false),
    number<kTimeout, 1, kMaxTimeoutMs>(
        "timeout", "MS", "of a program that names no limits: wall clock (2000)", true),
    {"cpu", "MS", "  CPU time (as the wall clock)", true,
     [](BrokerConfig& config, const Options& options, const std::string& option) {
       config.rules.defaults.cpu_ms =
           options.number(option, config.rules.defaults.cpu_ms, 1, kMaxTimeoutMs);
     },
     [](const BrokerConfig& config) { return std::to_string(config.rules.defaults.cpu()); }},
    number<kMemory, kMinMemory, kMaxMemory>(
        "memory", "BYTES", "  address space on top of the warm interpreter (536870912)", true),
    {"output", "BYTES", "  what it writes, and the text of its results (1048576)", true,
     read_output,
     [](const BrokerConfig& config) { return std::to_string(config.rules.defaults.output); }},
    number<kMostTime, 1, kMaxTimeoutMs>(
        "max-timeout", "MS", "the most that a job may ask for, of either clock (3600000)", true),
    number<kMostMemory, kMinMemory, kMaxMemory>(
        "max-memory", "BYTES", "the most memory that a job may ask for (1099511627776)", true),
    number<kMostOutput, 0, kMaxOutput>("max-output", "BYTES",
                                       "the most output that a job may ask for (33554432)", true),
    number<kClients, 1, kMaxCount>("max-clients", "N", "connections at a time (256)", true),
    number<kPending, 1, kMaxCount>(
        "max-pending", "N", "commands of one client not yet answered; more wait unread (256)",
        true),
    number<kUnread, 1, kMaxBytes>("max-unread", "BYTES",
                                  "replies one client has not read; then it is not heard (8388608)",
                                  true),
    number<kQueued, kMinQueued, kMaxBytes>(
        "max-queued", "BYTES", "jobs of all clients not yet answered; more get -BUSY (268435456)",
        true),
    number<kPatience, 1, kMaxTimeoutMs>(
        "patience", "MS", "for the rest of a request beyond 64 KiB, then it is refused (60000)",
        true),
    text<&BrokerConfig::metrics>("metrics", "PATH",
                                 "rewrite this file every 5 s, in Prometheus text format", true),
};

void read_all(BrokerConfig& config, const Options& options) {
  for (const auto& setting : kSettings) {
    setting.read(config, options, "--" + std::string(setting.name));
  }
}

void read_config_file(BrokerConfig& config, const std::string& path) {
  std::set<std::string> names = valued_options();
  names.erase("--config");
  try {
    read_all(config, Options::from_file(path, names));
  } catch (const StartError& error) {
    throw StartError("--config " + path + ": " + error.what());
  }
}

// The ceilings hold for what jobs do not name as well.
void lower_defaults(JobRules& rules) {
  Limits& limits = rules.defaults;
  limits.timeout_ms = std::min(limits.timeout_ms, rules.max_timeout_ms);
  limits.cpu_ms = std::min(limits.cpu_ms, rules.max_timeout_ms);
  limits.memory = std::min(limits.memory, rules.max_memory);
  limits.output = limits.values = std::min(limits.output, rules.max_output);
}

void check_descriptors(const BrokerConfig& config) {
  uint64_t zygotes = 0;
  for (const auto& pool : config.all_pools()) zygotes += pool.zygotes;
  const uint64_t needed = config.clients.max_clients + kFdsPerZygote * zygotes + kFdsOfBroker;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || needed <= limit.rlim_max) return;
  throw StartError("--max-clients " + std::to_string(config.clients.max_clients) + " needs " +
                   std::to_string(needed) + " file descriptors, " + std::to_string(limit.rlim_max) +
                   " may be had: raise the limit (ulimit -Hn, LimitNOFILE=)");
}

}  // namespace

std::span<const Setting> settings() { return kSettings; }

std::set<std::string> valued_options() {
  std::set<std::string> names = {"--config"};
  for (const auto& setting : kSettings) names.insert("--" + std::string(setting.name));
  return names;
}

BrokerConfig load_config(const Options& command_line) {
  BrokerConfig config;
  config.pool.zygotes = 2 * std::max(1u, std::thread::hardware_concurrency());
  const std::string file = command_line.text("--config");
  if (command_line.has("--config")) read_config_file(config, file);
  read_all(config, command_line);
  lower_defaults(config.rules);
  check_descriptors(config);
  return config;
}

std::vector<std::string> adopt(BrokerConfig& current, const BrokerConfig& next) {
  std::vector<std::string> changes;
  for (const auto& setting : kSettings) {
    const std::string before = setting.show(current), after = setting.show(next);
    if (before == after) continue;
    changes.push_back(std::string(setting.name) + " '" + before + "' -> '" + after + "'" +
                      (setting.live ? "" : ": only after a restart"));
  }
  current.rules = next.rules;
  current.clients = next.clients;
  current.metrics = next.metrics;
  return changes;
}

}  // namespace azr
