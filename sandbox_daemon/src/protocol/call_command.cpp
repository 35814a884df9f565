#include "call_command.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "options.h"

namespace azr {
namespace {

constexpr size_t kMaxNameShown = 128;

class OptionReader {
 public:
  OptionReader(const Command& command, size_t first) : command_(command), at_(first) {}

  bool more() const { return at_ < command_.size(); }
  // The next option's name in upper case; its value must follow.
  std::string name() {
    spelled_ = command_[at_++];
    return upper(spelled_);
  }
  const std::string& text() {
    if (at_ >= command_.size()) throw CommandError{"ERR option '" + spelled_ + "' needs a value"};
    return command_[at_++];
  }
  uint64_t number(uint64_t low, uint64_t high) {
    uint64_t value = 0;
    if (!parse_number(text(), value) || value < low || value > high) {
      throw CommandError{"ERR option '" + spelled_ + "' must be a number from " +
                         std::to_string(low) + " to " + std::to_string(high)};
    }
    return value;
  }
  int64_t integer() {
    const std::string& word = text();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) {
      throw CommandError{"ERR option '" + spelled_ + "' must be a whole number"};
    }
    return value;
  }
  [[noreturn]] void unknown() { throw CommandError{"ERR unknown option '" + spelled_ + "'"}; }

 private:
  const Command& command_;
  size_t at_;
  std::string spelled_;
};

bool read_limit(OptionReader& options, const std::string& name, Limits& limits) {
  if (name == "TIMEOUT") {
    limits.timeout_ms = options.number(1, kMaxTimeoutMs);
  } else if (name == "CPU") {
    limits.cpu_ms = options.number(1, kMaxTimeoutMs);
  } else if (name == "MEMORY") {
    limits.memory = options.number(kMinMemory, kMaxMemory);
  } else if (name == "OUTPUT") {
    limits.output = limits.values = options.number(0, kMaxOutput);
  } else {
    return false;
  }
  return true;
}

Tier read_tier(OptionReader& options) {
  const auto tier = parse_tier(options.text());
  if (!tier) throw CommandError{"ERR option 'TIER' must be rewind, fork or jail"};
  return *tier;
}

// Why a rewind zygote cannot begin a job although there is one; empty: it can.
std::string_view not_rewound(const JobSpec& spec, const PoolConfig& pool) {
  if (!spec.stdin_data.empty()) return "stdin";
  if (spec.limits.memory < kRewindRoom) return "memory_limit";
  if (spec.replicas > pool.zygotes) return "replicas";
  return "";
}

// The fastest that will do.
void choose_pool(JobSpec& spec, std::string_view name, std::span<const PoolConfig> pools) {
  const Tier least = std::max(spec.tier, Tier::kFork);
  const auto pool = find_pool(pools, name, least);
  const auto rewinding = find_pool(pools, name, Tier::kRewind);
  if (pool) spec.pool = *pool;
  if (pool && rewinding && spec.tier == Tier::kRewind) {
    spec.not_rewound = not_rewound(spec, pools[*rewinding]);
    if (!spec.not_rewound.empty()) return;
    spec.fallback = pool;
    spec.pool = *rewinding;
  } else if (pool) {
    return;
  } else if (find_pool(pools, name)) {
    throw CommandError{"ERR the pool '" + std::string(name) +
                       "' has no jail: start the daemon with --jail, and name no POOL"};
  } else {
    throw CommandError{"ERR no pool '" + std::string(name.substr(0, kMaxNameShown)) +
                       "', there are: " + pool_names(pools)};
  }
}

void check_replicas(const JobSpec& spec, std::span<const PoolConfig> pools) {
  const PoolConfig& pool = pools[spec.fallback.value_or(spec.pool)];
  if (spec.replicas <= pool.zygotes) return;
  throw CommandError{"ERR REPLICAS " + std::to_string(spec.replicas) +
                     " needs as many zygotes, the pool '" + pool.name + "' has " +
                     std::to_string(pool.zygotes)};
}

void read_options(OptionReader options, JobSpec& spec, std::span<const PoolConfig> pools) {
  const bool call = spec.kind == JobKind::kCall;
  std::string_view pool = kDefaultPool;
  while (options.more()) {
    const std::string name = options.name();
    if (read_limit(options, name, spec.limits)) continue;
    if (name == "SEED") {
      spec.seed = options.integer();
    } else if (call && name == "ISOLATE") {
      spec.isolate = options.number(0, 1) == 1;
    } else if (call && name == "REPLICAS") {
      spec.replicas = options.number(1, std::numeric_limits<uint32_t>::max());
    } else if (name == "POOL") {
      pool = options.text();
    } else if (name == "TIER") {
      spec.tier = read_tier(options);
    } else if (!call && name == "STDIN") {
      spec.stdin_data = options.text();
    } else {
      options.unknown();
    }
  }
  choose_pool(spec, pool, pools);
  check_replicas(spec, pools);
}

}  // namespace

std::string upper(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return result;
}

JobSpec parse_call(const Command& command, const Limits& defaults,
                   std::span<const PoolConfig> pools) {
  uint64_t cases = 0;
  if (command.size() < 4) throw CommandError{"ERR wrong number of arguments for 'call' command"};
  if (!parse_number(command[3], cases)) throw CommandError{"ERR the number of cases is no number"};
  if (cases > command.size() - 4) {
    throw CommandError{"ERR " + std::to_string(cases) + " cases announced, " +
                       std::to_string(command.size() - 4) + " words follow"};
  }
  JobSpec spec;
  spec.program = command[1];
  spec.entry = command[2];
  spec.arguments.assign(command.begin() + 4, command.begin() + 4 + static_cast<ptrdiff_t>(cases));
  spec.limits = defaults;
  read_options(OptionReader(command, 4 + cases), spec, pools);
  return spec;
}

JobSpec parse_run(const Command& command, const Limits& defaults,
                  std::span<const PoolConfig> pools) {
  if (command.size() < 2) throw CommandError{"ERR wrong number of arguments for 'run' command"};
  JobSpec spec;
  spec.kind = JobKind::kRun;
  spec.program = command[1];
  spec.limits = defaults;
  read_options(OptionReader(command, 2), spec, pools);
  return spec;
}

}  // namespace azr
