// CALL and RUN as jobs: their words checked and refused by name.
#pragma once

#include <span>

#include "job.h"
#include "pools.h"
#include "resp.h"

namespace azr {

// A command that cannot be carried out; `what` is the text of the RESP error.
struct CommandError {
  std::string what;
};

// `defaults`: limits of a job that names none. `pools`: the first is that of a job that names none.
// Throws CommandError.
JobSpec parse_call(const Command& command, const Limits& defaults,
                   std::span<const PoolConfig> pools);
JobSpec parse_run(const Command& command, const Limits& defaults,
                  std::span<const PoolConfig> pools);

std::string upper(std::string_view text);

}  // namespace azr
