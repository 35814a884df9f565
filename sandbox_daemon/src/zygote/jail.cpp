#include "jail.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "channel.h"
#include "error.h"
#include "landlock.h"
#include "privileges.h"
#include "unique_fd.h"

namespace azr {
namespace {

bool can_write(const char* path) {
  const UniqueFd file(::open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  return file && ::write(file.get(), "x", 1) == 1;
}

// In a jailed child: what must hold, in the words of a fault; null when all does.
const char* fault_inside() {
  if (::getpid() != 1) return "the child is not init of a pid namespace";
  if (!can_write("/tmp/canary")) return "its folder cannot be written to";
  if (can_write("/canary")) return "files can be made outside its folder";
  if (UniqueFd(::open("/etc/passwd", O_RDONLY | O_CLOEXEC))) return "/etc/passwd can be read";
  if (::mount("tmpfs", kJailFolder, "tmpfs", 0, nullptr) == 0) return "it can mount";
  return nullptr;
}

[[noreturn]] void tell_fault(int to, const std::vector<std::string>& readable, bool landlock) {
  std::string fault;
  if (!enter_jail(readable, landlock)) {
    fault = "cannot be entered: " + errno_text();
  } else if (const char* inside = fault_inside()) {
    fault = inside;
  }
  [[maybe_unused]] const ssize_t told = ::write(to, fault.data(), fault.size());
  ::_exit(fault.empty() ? 0 : 1);
}

}  // namespace

void open_output_to_all() {
  for (const int pipe : {kOutFd, kErrFd}) ::fchmod(pipe, 0622);
}

pid_t fork_jailed() {
  // Not by the C library, whose fork takes no flags. What it does besides is for several threads,
  // and the id of the thread that it would correct is 1 before and after.
  return static_cast<pid_t>(
      ::syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0));
}

bool enter_jail(const std::vector<std::string>& readable, bool landlock) {
  // The session: else signals to its group would reach the zygote's.
  return ::setsid() > 0 &&
         ::mount("tmpfs", kJailFolder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                 kJailFolderOptions) == 0 &&
         ::chdir(kJailFolder) == 0 && empty_capabilities() &&
         (!landlock || enter_landlock(readable, kJailFolder).on);
}

void prove_jail(const std::vector<std::string>& readable, bool landlock) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw StartError("cannot make a pipe: " + errno_text());
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const pid_t pid = fork_jailed();
  if (pid == 0) tell_fault(to.get(), readable, landlock);
  if (pid < 0) {
    throw StartError("jail: no namespaces inside the zygote's (" + errno_text() +
                     "): start without --jail");
  }
  to.reset();
  char fault[256] = {};
  const ssize_t size = ::read(from.get(), fault, sizeof fault - 1);
  int status = 1;
  ::waitpid(pid, &status, 0);
  if (size == 0 && status == 0) return;
  throw StartError(std::string("jail: ") + (size > 0 ? fault : "its first process died") +
                   ": start without --jail, or report this as a bug");
}

}  // namespace azr
