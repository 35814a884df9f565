#include "broker/jail_group.h"

#include "shared/error.h"

namespace azr {
namespace {

constexpr uint64_t kTasks = 72;            // those of the limit on each user, and the zygote
constexpr uint64_t kFolder = 64ull << 20;  // bytes: its size

}  // namespace

JailGroup::JailGroup(pid_t zygote) : group_(ControlGroup::make(zygote, why_not_)) {
  if (!group_ || group_->limit_tasks(kTasks)) return;
  why_not_ = "no limit can be set (" + errno_text() + ")";
  group_.reset();
}

Layer JailGroup::layer() const {
  if (!group_) return {"cgroup", false, why_not_};
  return {"cgroup", true, "memory and tasks of each jail in sum"};
}

void JailGroup::note_zygote() {
  if (group_) memory_before_ = group_->memory_used();
}

bool JailGroup::limit(const Limits& limits) {
  return !group_ || group_->limit_memory(memory_before_ + limits.memory + kFolder);
}

}  // namespace azr
