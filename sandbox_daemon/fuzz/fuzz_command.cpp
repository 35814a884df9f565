// CALL and RUN and their options: a job within its limits, or one line that says what is wrong.
#include "commands/call_command.h"
#include "fuzz.h"
#include "resp/resp_writer.h"

namespace {

using namespace azr;

const std::vector<PoolConfig> kPools = {{"default", 4, ""}, {"sci", 2, "numpy"}};

Command words_of(std::string_view text) {
  Command words(1);
  for (const char c : text) {
    if (c == '\0' || c == '\n') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

void within_limits(const JobSpec& spec, const Command& command) {
  const Limits& limits = spec.limits;
  HOLDS(limits.timeout_ms >= 1 && limits.timeout_ms <= kMaxTimeoutMs);
  HOLDS(limits.cpu() >= 1 && limits.cpu() <= kMaxTimeoutMs);
  HOLDS(limits.memory >= kMinMemory && limits.memory <= kMaxMemory);
  HOLDS(limits.output <= kMaxOutput && limits.values <= kMaxOutput);
  HOLDS(!spec.pools.empty());
  for (const size_t pool : spec.pools) {
    HOLDS(pool < kPools.size());
    HOLDS(spec.replicas >= 1 && spec.replicas <= kPools[pool].zygotes);
  }
  HOLDS(spec.arguments.size() <= command.size());
  HOLDS(spec.program == command[1]);
}

void is_one_line(const CommandError& error) {
  RespWriter out(2);
  out.error(error.what);
  const std::string text = out.take().front();
  HOLDS(text.starts_with("-ERR ") && text.find_first_of("\r\n") == text.size() - 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Command command = words_of(fuzz::copy_of(data, size));
  try {
    within_limits(parse_call(command, {}, kPools), command);
  } catch (const CommandError& error) {
    is_one_line(error);
  }
  try {
    within_limits(parse_run(command, {}, kPools), command);
  } catch (const CommandError& error) {
    is_one_line(error);
  }
  return 0;
}
