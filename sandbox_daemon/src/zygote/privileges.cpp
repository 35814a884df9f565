#include "privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

#include "error.h"

namespace azr {
namespace {

bool become(uid_t id) {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(id, id, id) == 0 &&
         ::setresuid(id, id, id) == 0;
}

// `held`: a bit for each of the first 32 capabilities that stays permitted and effective.
bool set_capabilities(std::uint32_t held) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct sets[2]{{held, held, 0}, {}};
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return ::syscall(SYS_capset, &header, sets) == 0;
}

bool empty_sets() { return set_capabilities(0); }

// Whether user `id` could read `path`: asked of a child, since there is no way back, and without
// capabilities, which a change of user leaves in place here.
bool readable_as(uid_t id, const std::string& path) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::_exit(become(id) && empty_sets() && ::access(path.c_str(), R_OK) == 0 ? 0 : 1);
  }
  int status = 1;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

bool bounding_set_is_empty() {
  for (int capability = 0;; ++capability) {
    const int held = ::prctl(PR_CAPBSET_READ, capability);
    if (held < 0) return capability > 0;
    if (held > 0) return false;
  }
}

bool holds_no_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  for (const auto& half : data) {
    if ((half.effective | half.permitted | half.inheritable) != 0) return false;
  }
  return true;
}

}  // namespace

Layer drop_user(uid_t id, const std::string& probe) {
  if (!readable_as(id, probe)) {
    return {"user", false,
            "cannot become user " + std::to_string(id) + ", or it could not read " + probe};
  }
  if (!become(id)) return {"user", false, "cannot change the user: " + errno_text()};
  return {"user", true, "unused id " + std::to_string(id)};
}

void drop_bounding_set() {
  ::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED);
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability);
  }
}

bool empty_capabilities() { return empty_sets() && holds_no_capability(); }

bool keep_mount_capability() { return set_capabilities(1u << CAP_SYS_ADMIN); }

Layer drop_capabilities() {
  if (!empty_capabilities()) {
    return {"capabilities", false, "cannot drop them: " + errno_text()};
  }
  if (!bounding_set_is_empty()) {
    return {"capabilities", false, "none held; the bounding set cannot be emptied"};
  }
  return {"capabilities", true, "none; the bounding set is empty"};
}

bool hide_process() {
  return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

Layer set_no_new_privs() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return {"no_new_privs", false, errno_text()};
  }
  return {"no_new_privs", true, "for good"};
}

}  // namespace azr
