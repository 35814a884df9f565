#include "commands/call_command.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "shared/options.h"
#include "utf8_cut.h"

namespace azr {
namespace {

constexpr size_t kMaxShown = 128;  // bytes of a word that an error repeats
constexpr size_t kMaxName = 32;    // of a command, an option, a section
constexpr size_t kMaxDigits = 32;
constexpr size_t kMaxEntry = 1024;
constexpr size_t kMaxTasks = RespParser::kMost.words;  // programs of one job
// A rewind zygote gets its program at once; a longer one goes to a fork, which gets it piece by
// piece.
constexpr size_t kMaxRewound = 1u << 20;

class OptionReader {
 public:
  OptionReader(Command& command, size_t first) : command_(command), at_(first) {}

  bool more() const { return at_ < command_.size(); }
  // The next option's name in upper case; its value must follow.
  std::string name() {
    spelled_ = shown(command_[at_]);
    return upper(command_[at_++]);
  }
  std::string& text() {
    if (at_ >= command_.size()) throw CommandError{"ERR option '" + spelled_ + "' needs a value"};
    return command_[at_++];
  }
  uint64_t number(uint64_t low, uint64_t high) {
    uint64_t value = 0;
    const std::string& word = text();
    if (word.size() > kMaxDigits || !parse_number(word, value) || value < low || value > high) {
      throw CommandError{"ERR option '" + spelled_ + "' must be a number from " +
                         std::to_string(low) + " to " + std::to_string(high)};
    }
    return value;
  }
  int64_t integer() {
    const std::string& word = text();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.size() > kMaxDigits || error != std::errc() || end != word.data() + word.size()) {
      throw CommandError{"ERR option '" + spelled_ + "' must be a whole number"};
    }
    return value;
  }
  [[noreturn]] void unknown() { throw CommandError{"ERR unknown option '" + spelled_ + "'"}; }

 private:
  Command& command_;
  size_t at_;
  std::string spelled_;
};

bool read_limit(OptionReader& options, const std::string& name, const JobRules& rules,
                Limits& limits) {
  if (name == "TIMEOUT") {
    limits.timeout_ms = options.number(1, rules.max_timeout_ms);
  } else if (name == "CPU") {
    limits.cpu_ms = options.number(1, rules.max_timeout_ms);
  } else if (name == "MEMORY") {
    limits.memory = options.number(kMinMemory, rules.max_memory);
  } else if (name == "OUTPUT") {
    limits.output = limits.values = options.number(0, rules.max_output);
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

size_t text_bytes(const JobSpec& spec) {
  size_t bytes = spec.program.size();
  for (const std::string& text : spec.arguments) bytes += text.size();
  return bytes;
}

// Why a rewind zygote cannot begin a job although there is one; empty: it can.
std::string_view not_rewound(const JobSpec& spec, const PoolConfig& pool) {
  if (!spec.stdin_data.empty()) return "stdin";
  if (spec.limits.memory < kRewindRoom) return "memory_limit";
  if (spec.replicas > pool.zygotes) return "replicas";
  if (text_bytes(spec) > kMaxRewound) return "long_request";
  return "";
}

[[noreturn]] void refuse_pool(std::string_view name, std::span<const PoolConfig> pools) {
  if (find_pool(pools, name)) {
    throw CommandError{"ERR the pool '" + std::string(name) +
                       "' has no jail: start the daemon with --jail, and name no POOL"};
  }
  throw CommandError{"ERR no pool '" + shown(name) + "', there are: " + pool_names(pools)};
}

// The fastest that will do, and who serves what that cannot. A script that names no tier may need
// what only a jail gives.
void choose_pools(JobSpec& spec, std::string_view name, std::span<const PoolConfig> pools) {
  const Tier least = spec.tier.value_or(Tier::kRewind);
  const Tier most =
      spec.kind == JobKind::kRun && !spec.tier ? Tier::kJail : std::max(least, Tier::kFork);
  spec.pools.clear();
  for (const Tier tier : {Tier::kRewind, Tier::kFork, Tier::kJail}) {
    const auto pool = find_pool(pools, name, tier);
    if (!pool || tier < least || tier > most) continue;
    if (tier == Tier::kRewind) spec.not_rewound = not_rewound(spec, pools[*pool]);
    if (tier != Tier::kRewind || spec.not_rewound.empty()) spec.pools.push_back(*pool);
  }
  if (spec.pools.empty()) refuse_pool(name, pools);
}

void check_tasks(const JobSpec& spec, std::span<const PoolConfig> pools) {
  const PoolConfig& pool = pools[spec.pools.back()];
  if (spec.replicas > pool.zygotes) {
    throw CommandError{"ERR REPLICAS " + std::to_string(spec.replicas) +
                       " needs as many zygotes, the pool '" + pool.name + "' has " +
                       std::to_string(pool.zygotes)};
  }
  if (spec.tasks() > kMaxTasks) {
    throw CommandError{"ERR cases that are isolated, times REPLICAS, are " +
                       std::to_string(spec.tasks()) + " programs, at most " +
                       std::to_string(kMaxTasks) + " are possible: send fewer cases"};
  }
}

void read_options(OptionReader options, JobSpec& spec, const JobRules& rules,
                  std::span<const PoolConfig> pools) {
  const bool call = spec.kind == JobKind::kCall;
  std::string_view pool = kDefaultPool;
  spec.limits = rules.defaults;
  while (options.more()) {
    const std::string name = options.name();
    if (read_limit(options, name, rules, spec.limits)) continue;
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
      spec.stdin_data = std::move(options.text());
    } else {
      options.unknown();
    }
  }
  choose_pools(spec, pool, pools);
  check_tasks(spec, pools);
}

uint64_t read_cases(const Command& command) {
  uint64_t cases = 0;
  if (command.size() < 4) throw CommandError{"ERR wrong number of arguments for 'call' command"};
  if (command[3].size() > kMaxDigits || !parse_number(command[3], cases)) {
    throw CommandError{"ERR the number of cases is no number"};
  }
  if (cases > command.size() - 4) {
    throw CommandError{"ERR " + std::to_string(cases) + " cases announced, " +
                       std::to_string(command.size() - 4) + " words follow"};
  }
  return cases;
}

}  // namespace

std::string shown(std::string_view word) {
  return word.size() <= kMaxShown ? std::string(word)
                                  : std::string(cut_utf8(word, kMaxShown)) + "...";
}

std::string upper(std::string_view text) {
  if (text.size() > kMaxName) return "";
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return result;
}

JobSpec parse_call(Command command, const JobRules& rules, std::span<const PoolConfig> pools) {
  const uint64_t cases = read_cases(command);
  JobSpec spec;
  spec.program = std::move(command[1]);
  spec.entry = std::move(command[2]);
  if (spec.entry.size() > kMaxEntry) {
    throw CommandError{"ERR the name of the function is longer than " + std::to_string(kMaxEntry) +
                       " bytes"};
  }
  if (spec.entry.find('\0') != std::string::npos) {
    throw CommandError{"ERR the name of the entry function holds a NUL"};
  }
  const auto first = std::make_move_iterator(command.begin() + 4);
  spec.arguments.assign(first, first + static_cast<ptrdiff_t>(cases));
  read_options(OptionReader(command, 4 + cases), spec, rules, pools);
  return spec;
}

JobSpec parse_run(Command command, const JobRules& rules, std::span<const PoolConfig> pools) {
  if (command.size() < 2) throw CommandError{"ERR wrong number of arguments for 'run' command"};
  JobSpec spec;
  spec.kind = JobKind::kRun;
  spec.program = std::move(command[1]);
  read_options(OptionReader(command, 2), spec, rules, pools);
  return spec;
}

}  // namespace azr
