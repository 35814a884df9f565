// Runs one program in its child process and appends the records of what came of it.
#pragma once

#include <sys/types.h>

#include "channel.h"
#include "frames.h"
#include "request.h"

namespace azr {

// Takes references to interpreter parts before any program could touch them. Call once, when warm.
void prepare_programs();

// What `threading` tells of the main thread, which is another one in each child.
void set_thread_id(unsigned long id);

// Never throws; every way out leaves records, of which kDone is the last. `owner`: the process that
// reports, where a program can make others; 0: it cannot.
void run_program(const TaskHeader& job, const Request& request, RecordWriter& records,
                 pid_t owner = 0);

}  // namespace azr
