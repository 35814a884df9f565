#include "first_pid.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "random.h"
#include "unique_fd.h"

namespace azr {
namespace {

constexpr uint32_t kLowest = 300, kHighest = 32'000;  // ids go to 32,768 where they go least far
constexpr uint32_t kMostUsedUp = 1'000;               // 20 us each

// The kernel goes on from there (/proc/sys/kernel/ns_last_pid, pid_namespaces(7)).
bool set_last(uint32_t id) {
  const UniqueFd file(::open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(id);
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void use_up_one() {
  const pid_t pid = ::vfork();
  if (pid == 0) ::_exit(0);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace

void begin_process_ids_at_random() {
  if (::getpid() != 1) return;
  const auto drawn = random_value<uint32_t>();
  if (!set_last(kLowest + drawn % (kHighest - kLowest))) use_up_process_ids(drawn % kMostUsedUp);
}

void use_up_process_ids(uint32_t count) {
  for (; count > 0; --count) use_up_one();
}

}  // namespace azr
