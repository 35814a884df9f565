// What the broker says of a program's end: from what it did, what the kernel says, and a note.
#include <csignal>
#include <cstring>
#include <string>

#include "end_note.h"
#include "records.h"

namespace {

using namespace azr;

// What a signal says counts for nothing where the CPU time that was measured says otherwise.
void cpu_limit() {
  Area area;
  area.writer.append(kLoaded);
  const auto judged = [&](int signal, int64_t cpu_us) {
    return judge(area.asked, {KillReason::kNone, {.wait_status = signal, .cpu_us = cpu_us}},
                 area.bytes, kToken);
  };
  const auto limit = static_cast<int64_t>(area.asked.limits.cpu()) * 1000;
  for (const int signal : {SIGXCPU, SIGKILL}) {
    EXPECT(judged(signal, limit).verdict == Verdict::kTimeout);
    EXPECT(judged(signal, limit - 1).verdict == Verdict::kCrash);
    EXPECT(judged(signal, limit - 1).signal == signal);
  }
  EXPECT(judged(SIGTERM, limit).verdict == Verdict::kCrash);
}

// What the broker did itself comes before what the records say, and these before the exit status.
void damaged_and_killed() {
  Area area;
  area.writer.append(kDone);
  area.writer.append(kDone);
  const auto judged = area.judged(SIGKILL, KillReason::kWall);
  EXPECT(judged.verdict == Verdict::kTimeout && judged.cases.empty() && !judged.loaded);
  EXPECT(area.judged(SIGSEGV).message == "its records are damaged");
}

void refusals() {
  Area area;
  area.writer.append(kLoaded);
  const auto with = [&](const EndNote& note, int status) {
    std::memcpy(end_note_area(area.bytes).data(), &note, sizeof note);
    return area.judged(status << 8);
  };
  const EndNote refused{.signal = SIGSYS, .code = kRefusedByFilter, .syscall = 41};
  EXPECT(with({}, kExitBySignal).verdict == Verdict::kCrash);  // the status alone says nothing
  EXPECT(with(refused, kExitBySignal).verdict == Verdict::kDenied);
  EXPECT(!with(refused, kExitBySignal).syscall.empty());
  EXPECT(with(refused, 0).verdict == Verdict::kCrash);
  const Outcome sent = with({.signal = SIGSYS, .code = 0, .syscall = 41}, kExitBySignal);
  EXPECT(sent.verdict == Verdict::kCrash && sent.signal == SIGSYS && sent.syscall.empty());
  const Outcome alarm = with({.signal = SIGALRM}, kExitBySignal);
  EXPECT(alarm.verdict == Verdict::kCrash && alarm.signal == SIGALRM);
  EXPECT(area.judged(SIGSYS).verdict == Verdict::kDenied);
}

// Nor do the statuses of a child that has run nothing, when a program ends with them.
void children_that_ran_nothing() {
  Area area;
  const std::string never = "a layer of the sandbox could not be put on; nothing was run";
  for (const int status : {kExitLimitsFailed, kExitFilterFailed}) {
    Area failed;
    const EndNote note{.failed = status};
    std::memcpy(end_note_area(failed.bytes).data(), &note, sizeof note);
    EXPECT(failed.judged(status << 8).message == never);
    EXPECT(area.judged(status << 8).message != never);
    EXPECT(area.judged(status << 8).exit == status);
  }
  const Ending unmade{KillReason::kNone, {.unmade = true}};
  EXPECT(judge(area.asked, unmade, area.bytes, kToken).message == "no process could be made");
}

// The program's words and ours are told apart, whatever they are.
void words() {
  Area area;
  area.asked.cases = 1;
  area.writer.append(kLoaded);
  area.writer.append({RecordKind::kCase, Verdict::kError, 0, 0, "BadArgument", "m", {}});
  Area ours;
  ours.asked.cases = 1;
  ours.writer.append(kLoaded);
  ours.writer.append({RecordKind::kCase, Verdict::kError, 0, 0, "BadArgument", "m", {}, true});
  for (Area* one : {&area, &ours}) one->writer.append(kDone);
  const CaseResult program = area.judged().cases[0], daemon = ours.judged().cases[0];
  EXPECT(program.type == "BadArgument" && program.reason.empty());
  EXPECT(daemon.reason == "BadArgument" && daemon.type.empty());
}

}  // namespace

int main() {
  cpu_limit();
  damaged_and_killed();
  refusals();
  children_that_ran_nothing();
  words();
  return test_result();
}
