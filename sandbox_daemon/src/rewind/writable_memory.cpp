#include "writable_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sstream>

#include "error.h"

namespace azr {
namespace {

bool parse(const std::string& line, WritableMapping& mapping) {
  char dash = 0;
  std::string rights, offset, device, inode;
  std::istringstream words(line);
  words >> std::hex >> mapping.range.begin >> dash >> mapping.range.end >> rights >> offset >>
      device >> inode;
  mapping.protection = PROT_READ | PROT_WRITE | (rights[2] == 'x' ? PROT_EXEC : 0);
  mapping.from_file = inode != "0";
  return rights.size() == 4 && rights[1] == 'w' && rights[3] == 'p';
}

// Whole pages from memory to the same place in the file.
bool write_out(AddressRange part, const WritableMapping& mapping, int file) {
  while (part.begin < part.end) {
    const auto at = static_cast<off_t>(mapping.offset + (part.begin - mapping.range.begin));
    const ssize_t size = ::pwrite(file, reinterpret_cast<void*>(part.begin), part.size(), at);
    if (size <= 0) return false;
    part.begin += static_cast<size_t>(size);
  }
  return true;
}

bool write_out_populated(const WritableMapping& mapping, int file, const Pagemap& own) {
  PageRegion found[64];
  for (uintptr_t next = mapping.range.begin; next < mapping.range.end;) {
    const long count = own.populated({next, mapping.range.end}, found, next);
    if (count < 0) return false;
    for (long i = 0; i < count; ++i) {
      if (!write_out({found[i].begin, found[i].end}, mapping, file)) return false;
    }
  }
  return true;
}

}  // namespace

std::string read_proc(int folder, const char* path) {
  const UniqueFd fd(::openat(folder, path, O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[16384];
  for (ssize_t size; fd && (size = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(size));
  }
  return text;
}

std::vector<WritableMapping> writable_mappings(int proc) {
  std::istringstream maps(read_proc(proc, "self/maps"));
  std::vector<WritableMapping> mappings;
  size_t offset = 0;
  for (std::string line; std::getline(maps, line);) {
    WritableMapping mapping{};
    if (!parse(line, mapping)) continue;
    mapping.offset = offset;
    offset += mapping.range.size();
    mappings.push_back(mapping);
  }
  if (mappings.empty()) throw StartError("rewind: cannot read /proc/self/maps: " + errno_text());
  return mappings;
}

bool share(const WritableMapping& mapping, int memory_file, const Pagemap& own) {
  const bool written = mapping.from_file ? write_out(mapping.range, mapping, memory_file)
                                         : write_out_populated(mapping, memory_file, own);
  void* const begin = reinterpret_cast<void*>(mapping.range.begin);
  return written && ::mmap(begin, mapping.range.size(), mapping.protection, MAP_SHARED | MAP_FIXED,
                           memory_file, static_cast<off_t>(mapping.offset)) == begin;
}

}  // namespace azr
