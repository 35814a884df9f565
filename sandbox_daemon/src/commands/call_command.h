// CALL and RUN as jobs: their words checked and refused by name.
#pragma once

#include <span>

#include "broker/job.h"
#include "broker/job_rules.h"
#include "broker/pools.h"
#include "resp/resp.h"

namespace azr {

// A command that cannot be carried out; `what` is the text of the RESP error.
struct CommandError {
  std::string what;
};

// `pools`: the first is that of a job that names none. Throws CommandError.
JobSpec parse_call(Command command, const JobRules& rules, std::span<const PoolConfig> pools);
JobSpec parse_run(Command command, const JobRules& rules, std::span<const PoolConfig> pools);

// As much of a client's word as an error repeats.
std::string shown(std::string_view word);
// A word of a few letters in upper case; a longer one is none of ours, and comes back empty.
std::string upper(std::string_view text);

}  // namespace azr
