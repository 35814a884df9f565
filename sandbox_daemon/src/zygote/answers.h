// What the handler of refused calls answers in the kernel's place, since replicas of a program must
// not be told the same: facts of the machine, and the ids of processes in a jail.
#pragma once

#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include <cstddef>
#include <cstdint>

#include "standalone.h"

namespace azr {

// In ordinary memory of the process: a program that changes it lies to itself.
struct Answers {
  struct sysinfo machine{};  // for sysinfo(2)
  long other_id = 0;         // that process 1 of a jail is told it has; 0: the truth
};

// Of this process, which the handler looks at.
Answers& answers();

// An argument, of calls that have none, by which a filter tells our own.
inline constexpr uint32_t kTruth = 0x7a5a7a5a;

AZR_STANDALONE bool asks_for_id(long number) {
  return number == SYS_getpid || number == SYS_gettid || number == SYS_getppid;
}

// By its first argument.
AZR_STANDALONE bool names_id(long number) {
  return number == SYS_kill || number == SYS_tkill || number == SYS_tgkill ||
         number == SYS_getpgid || number == SYS_getsid || number == SYS_setpgid ||
         number == SYS_sched_getaffinity;
}

AZR_STANDALONE long truly_named(long id, long other) { return id == other ? 1 : id; }

// False: the call asks for no id and does not name process 1 by the one that it was told, which a
// program may have changed.
AZR_STANDALONE bool answer_for_ids(long other, long number, TrappedCall& call) {
  if (other <= 1) return false;
  if (asks_for_id(number)) {
    const long id = raw_call(number, kTruth);
    call.answer(id == 1 ? other : id);
    return true;
  }
  if (!names_id(number) || call.first() != other) return false;
  const long second = call.second();
  call.answer(raw_call(number, 1, number == SYS_tgkill ? truly_named(second, other) : second,
                       call.third()));
  return true;
}

// Word by word, which no compiler makes a call of. One that gives no memory of its own for it has a
// fault, where the kernel would return an error.
AZR_STANDALONE void answer_for_the_machine(const struct sysinfo& facts, TrappedCall& call) {
  const auto* from = reinterpret_cast<const volatile uint32_t*>(&facts);
  auto* to = reinterpret_cast<volatile uint32_t*>(call.first());
  for (size_t i = 0; i < sizeof facts / sizeof *from; ++i) to[i] = from[i];
  call.answer(0);
}

// In a handler of SIGSYS, with its context: answers the call `number`, which a filter stopped, if
// it is for us to answer.
AZR_STANDALONE bool answer(const Answers& told, long number, void* context) {
  TrappedCall call(context);
  if (number != SYS_sysinfo) return answer_for_ids(told.other_id, number, call);
  answer_for_the_machine(told.machine, call);
  return true;
}

}  // namespace azr
