// CALL and RUN as jobs: their words checked and refused by name.
#pragma once

#include "job.h"
#include "resp.h"

namespace azr {

// A command that cannot be carried out; `what` is the text of the RESP error.
struct CommandError {
  std::string what;
};

// `defaults`: limits of a job that names none. `workers`: the most replicas there can be.
// Throws CommandError.
JobSpec parse_call(const Command& command, const Limits& defaults, size_t workers);
JobSpec parse_run(const Command& command, const Limits& defaults);

std::string upper(std::string_view text);

}  // namespace azr
