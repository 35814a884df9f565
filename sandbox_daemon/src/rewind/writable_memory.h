// The memory of a process that its programs can write to, and how it becomes memory that another
// process sees too.
#pragma once

#include <string>
#include <vector>

#include "pagemap.h"
#include "unique_fd.h"

namespace azr {

// A file of /proc as text; empty when it cannot be read.
std::string read_proc(int folder, const char* path);

struct WritableMapping {
  AddressRange range;
  int protection;
  bool from_file;  // pages not in memory are the file's, not zeros
  size_t offset;   // in the memory file that holds all of them
};

// The private writable mappings of the calling process, from its /proc/self/maps in the folder
// `proc`; offsets follow one another. Throws StartError.
std::vector<WritableMapping> writable_mappings(int proc);

// Moves a mapping of the calling process to its place in `memory_file`: what is in it stays, writes
// go to the file from now on. The caller must not run on a stack in it, nor change it from another
// thread.
bool share(const WritableMapping& mapping, int memory_file, const Pagemap& own);

}  // namespace azr
