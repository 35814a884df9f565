// Runs one program in its child process and appends the records of what came of it.
#pragma once

#include "channel.h"
#include "frames.h"
#include "request.h"

namespace azr {

// Takes references to interpreter parts before any program could touch them. Call once, when warm.
void prepare_programs();

// Never throws; every way out leaves records, of which kDone is the last.
void run_program(const JobHeader& job, const Request& request, RecordWriter& records);

}  // namespace azr
