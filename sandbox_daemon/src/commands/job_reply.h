// The replies of CALL and RUN.
#pragma once

#include "broker/job.h"
#include "resp/resp_writer.h"

namespace azr {

Reply job_reply(JobKind kind, JobResult result, int version);

}  // namespace azr
