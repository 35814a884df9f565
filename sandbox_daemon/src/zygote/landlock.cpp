#include "landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "error.h"
#include "jail.h"
#include "unique_fd.h"

namespace azr {
namespace {

// From the kernel's interface, spelled out because the build machine's headers may be older.
#ifndef SYS_landlock_create_ruleset
constexpr long SYS_landlock_create_ruleset = 444, SYS_landlock_add_rule = 445,
               SYS_landlock_restrict_self = 446;
#endif
constexpr uint32_t kVersionFlag = 1;
constexpr int kRulePathBeneath = 1;
constexpr uint64_t kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDir = 1 << 3, kTruncate = 1 << 14;

struct RulesetAttribute {
  uint64_t handled_fs;
  uint64_t handled_net;
  uint64_t scoped;
};

struct __attribute__((packed)) PathBeneath {
  uint64_t allowed;
  int32_t parent_fd;
};

// Every access of file systems, TCP and signals that this version of the kernel can confine.
RulesetAttribute everything(long version) {
  uint64_t fs = (1 << 13) - 1;
  if (version >= 2) fs |= 1 << 13;
  if (version >= 3) fs |= kTruncate;
  if (version >= 5) fs |= 1 << 15;
  return {fs, version >= 4 ? 3u : 0u, version >= 6 ? 3u : 0u};
}

size_t attribute_size(long version) { return version >= 6 ? 24 : version >= 4 ? 16 : 8; }

long landlock_version() { return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag); }

bool allow(int ruleset, int parent, uint64_t access) {
  struct stat info{};
  if (::fstat(parent, &info) != 0) return false;
  if (!S_ISDIR(info.st_mode)) access &= ~kReadDir;
  const PathBeneath rule{access, parent};
  return ::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) == 0;
}

bool allow(int ruleset, const std::string& path, uint64_t access) {
  const UniqueFd parent(::open(path.c_str(), O_PATH | O_CLOEXEC));
  return parent && allow(ruleset, parent.get(), access);
}

// The folder below which a program may write, and the lists of its own descriptors where there are
// any.
bool allow_jail(int ruleset, const char* folder, uint64_t everything) {
  return allow(ruleset, folder, everything) &&
         (allow(ruleset, kJailProc, kReadDir) || errno == ENOENT);
}

}  // namespace

Layer probe_landlock() {
  const long version = landlock_version();
  if (version < 1) return {"landlock", false, "the kernel has none: " + errno_text()};
  return {"landlock", true, "version " + std::to_string(version)};
}

Layer enter_landlock(const std::vector<std::string>& readable, const char* writable, int proc) {
  const long version = landlock_version();
  if (version < 1) return probe_landlock();
  const RulesetAttribute attribute = everything(version);
  const UniqueFd ruleset(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attribute, attribute_size(version), 0)));
  if (!ruleset) return {"landlock", false, "no ruleset: " + errno_text()};
  for (const auto& path : readable) {
    if (!allow(ruleset.get(), path, kReadFile | kReadDir)) {
      return {"landlock", false, "cannot allow " + path + ": " + errno_text()};
    }
  }
  const uint64_t write = kWriteFile | (attribute.handled_fs & kTruncate);
  const char* devices = writable == nullptr ? "/dev/null" : "/dev";
  if (!allow(ruleset.get(), devices, kReadFile | kReadDir | write)) {
    return {"landlock", false, std::string("cannot allow ") + devices + ": " + errno_text()};
  }
  if (writable != nullptr && !allow_jail(ruleset.get(), writable, attribute.handled_fs)) {
    return {"landlock", false, std::string("cannot allow ") + writable + ": " + errno_text()};
  }
  if (proc >= 0 && !allow(ruleset.get(), proc, kReadFile)) {
    return {"landlock", false, "cannot allow /proc: " + errno_text()};
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return {"landlock", false, "cannot restrict: " + errno_text()};
  }
  return probe_landlock();
}

}  // namespace azr
