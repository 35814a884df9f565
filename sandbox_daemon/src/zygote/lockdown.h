// Locks a warm zygote in, once, and proves each layer by trying what it forbids.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "layers.h"
#include "seccomp.h"

namespace azr {

struct LockdownConfig {
  unsigned long namespaces = 0;  // the CLONE_NEW* flags this process was made with
  std::string namespaces_why;    // why some are missing
  uid_t drop_to = 0;             // user to become; 0: stay
  std::string drop_why;          // why not
  std::vector<std::string> import_paths;
  bool jail = false;  // programs get their own namespaces, and some layers only there
  int proc = -1;      // the folder /proc, which stays readable through this descriptor alone
};

// Makes this process and its children the first to go when the machine's memory runs out. Before
// lock_down, which takes /proc away.
Layer offer_to_oom_killer();

// The layers as they now are. Throws StartError when a layer that is on does not hold.
Layers lock_down(const LockdownConfig& config);

// Tries the filter in a child: a refused call must end it. Throws StartError when it does not.
Layer probe_filter(SyscallFilter& filter);

// The same of a filter that stops for a tracer: without one, a refused call does nothing.
Layer probe_tracing_filter(SyscallFilter& filter);

// Whether a zygote can work under `filter`, made to be inherited, and a program under it and its
// limits can make no process.
bool can_be_inherited(SyscallFilter& filter);

}  // namespace azr
