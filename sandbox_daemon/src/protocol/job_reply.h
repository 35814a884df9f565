// The replies of CALL and RUN.
#pragma once

#include <string>

#include "job.h"

namespace azr {

std::string job_reply(const JobSpec& spec, const JobResult& result, int version);

}  // namespace azr
