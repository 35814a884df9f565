#include "broker/outcome.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "broker/syscall_names.h"
#include "shared/end_note.h"
#include "shared/frames.h"

namespace azr {
namespace {

void set(Outcome& outcome, Verdict verdict, std::string message) {
  outcome.verdict = verdict;
  outcome.type.clear();
  outcome.reason.clear();
  outcome.message = std::move(message);
  outcome.line = 0;
}

void take(Outcome& outcome, const Record& record) {
  outcome.verdict = record.verdict;
  outcome.type = record.ours ? "" : record.type;
  outcome.reason = record.ours ? record.type : "";
  outcome.message = record.message;
  outcome.line = record.line;
}

CaseResult case_of(const Record& record) {
  CaseResult result{record.verdict, std::nullopt, "", std::string(record.message), record.line};
  (record.ours ? result.reason : result.type) = record.type;
  if (record.verdict == Verdict::kOk) result.value = std::string(record.value);
  return result;
}

// Reads records in the one order in which a child writes them for what was asked.
class Reader {
 public:
  Reader(const Asked& asked, Outcome& outcome) : asked_(asked), outcome_(outcome) {}

  // False when the records are none that a child writes, or too much of them.
  bool read(const std::vector<Record>& records) {
    return std::ranges::all_of(records, [this](const Record& record) { return add(record); }) &&
           (!done_ || complete());
  }
  bool done() const { return done_; }

 private:
  bool add(const Record& record);
  bool add_load(const Record& record);
  bool add_case(const Record& record);
  bool add_exit(const Record& record);
  bool complete() const;

  const Asked& asked_;
  Outcome& outcome_;
  bool loads_ = false, exits_ = false, done_ = false;
  uint64_t value_bytes_ = 0;
};

bool Reader::add(const Record& record) {
  if (done_) return false;
  switch (record.kind) {
    case RecordKind::kLoad:
      return add_load(record);
    case RecordKind::kCase:
      return add_case(record);
    case RecordKind::kExit:
      return add_exit(record);
    case RecordKind::kDone:
      done_ = true;
  }
  return true;
}

// A script has this record only when it could not be run at all.
bool Reader::add_load(const Record& record) {
  if (loads_ || exits_) return false;
  loads_ = true;
  outcome_.loaded = record.verdict == Verdict::kOk;
  take(outcome_, record);
  return asked_.kind == JobKind::kCall || !outcome_.loaded;
}

bool Reader::add_case(const Record& record) {
  value_bytes_ += record.value.size();
  if (!outcome_.loaded || outcome_.cases.size() == asked_.cases ||
      value_bytes_ > asked_.limits.values) {
    return false;
  }
  outcome_.cases.push_back(case_of(record));
  return true;
}

bool Reader::add_exit(const Record& record) {
  if (asked_.kind != JobKind::kRun || loads_ || exits_) return false;
  exits_ = true;
  take(outcome_, record);
  outcome_.exit = record.number;
  return (record.verdict == Verdict::kOk) == (record.number == 0);
}

// Whether what is said to be done answers everything that was asked.
bool Reader::complete() const {
  if (asked_.kind == JobKind::kRun) return exits_ || loads_;
  return loads_ && (!outcome_.loaded || outcome_.cases.size() == asked_.cases);
}

void judge_kill(Outcome& outcome, KillReason killed, const Limits& limits) {
  if (killed == KillReason::kOutput) {
    set(outcome, Verdict::kOutput, "more than " + std::to_string(limits.output) + " bytes written");
  } else if (killed == KillReason::kCpu) {
    set(outcome, Verdict::kTimeout, "CPU limit of " + std::to_string(limits.cpu()) + " ms");
  } else {
    set(outcome, Verdict::kTimeout, "deadline of " + std::to_string(limits.timeout_ms) + " ms");
  }
}

// While all signals are blocked, as C libraries block them to make a process, no handler could note
// which call it was.
void judge_denied(Outcome& outcome, const EndNote* note) {
  if (note == nullptr) {
    return set(outcome, Verdict::kDenied, "a system call made while signals were blocked");
  }
  outcome.syscall = syscall_name(note->syscall);
  set(outcome, Verdict::kDenied, "system call " + outcome.syscall);
}

// The kernel ends what has used too much CPU by SIGXCPU or SIGKILL, which anybody can send himself.
bool has_used_its_cpu(const Limits& limits, const DoneReport& report) {
  return report.cpu_us >= static_cast<int64_t>(limits.cpu()) * 1000;
}

void judge_signal(Outcome& outcome, const Limits& limits, const Ending& ending, int signal) {
  if ((signal == SIGXCPU || signal == SIGKILL) && has_used_its_cpu(limits, ending.report)) {
    return judge_kill(outcome, KillReason::kCpu, limits);
  }
  if (signal == SIGKILL && ending.out_of_memory) {
    return set(outcome, Verdict::kMemory, "all its processes together used too much");
  }
  outcome.signal = signal;
  const char* name = ::sigabbrev_np(signal);
  set(outcome, Verdict::kCrash, std::string("killed by SIG") + (name == nullptr ? "?" : name));
}

void judge_exit(Outcome& outcome, int status) {
  outcome.exit = status;
  set(outcome, Verdict::kCrash,
      "ended without a result, with exit status " + std::to_string(status));
}

// How it ended when neither we killed it nor its records say that they are all.
void judge_end(Outcome& outcome, const Limits& limits, const Ending& ending, const EndNote& note) {
  const int status = ending.report.wait_status;
  if (ending.report.unmade) {
    set(outcome, Verdict::kCrash, "no process could be made");
  } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
    judge_denied(outcome, nullptr);
  } else if (!WIFEXITED(status)) {
    judge_signal(outcome, limits, ending, WTERMSIG(status));
  } else if (note.failed != 0 && note.failed == WEXITSTATUS(status)) {
    set(outcome, Verdict::kCrash, "a layer of the sandbox could not be put on; nothing was run");
  } else if (note.signal == 0 || WEXITSTATUS(status) != kExitBySignal) {
    judge_exit(outcome, WEXITSTATUS(status));
  } else if (note.signal == SIGSYS && note.code == kRefusedByFilter) {
    judge_denied(outcome, &note);
  } else {
    judge_signal(outcome, limits, ending, note.signal);
  }
}

}  // namespace

Outcome judge(const Asked& asked, const Ending& ending, std::span<const char> output,
              const Token& token) {
  Outcome outcome;
  const auto records = read_records(output, token);
  Reader reader(asked, outcome);
  const bool damaged = !records || !reader.read(*records);
  if (damaged) outcome = {};
  if (ending.zygote_died) {
    set(outcome, Verdict::kCrash, "its zygote died");
  } else if (ending.killed != KillReason::kNone) {
    judge_kill(outcome, ending.killed, asked.limits);
  } else if (damaged) {
    set(outcome, Verdict::kCrash, "its records are damaged");
  } else if (ending.report.wait_status != 0 || ending.report.unmade || !reader.done()) {
    judge_end(outcome, asked.limits, ending, read_end_note(output));
  }
  outcome.cpu_us = ending.report.cpu_us;
  outcome.max_rss_kib = ending.report.max_rss_kib;
  outcome.faults = ending.report.faults;
  return outcome;
}

}  // namespace azr
