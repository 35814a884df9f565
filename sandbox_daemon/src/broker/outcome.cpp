#include "outcome.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "frames.h"
#include "syscall_names.h"

namespace azr {
namespace {

void set(Outcome& outcome, Verdict verdict, std::string message) {
  outcome.verdict = verdict;
  outcome.type.clear();
  outcome.message = std::move(message);
  outcome.line = 0;
}

void take(Outcome& outcome, const Record& record) {
  outcome.verdict = record.verdict;
  outcome.type = record.type;
  outcome.message = record.message;
  outcome.line = record.line;
}

CaseResult case_of(const Record& record) {
  CaseResult result{record.verdict, std::nullopt, std::string(record.type),
                    std::string(record.message), record.line};
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
  const Record* denied() const { return denied_; }

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
  const Record* denied_ = nullptr;
};

bool Reader::add(const Record& record) {
  if (done_ || denied_ != nullptr) return false;
  switch (record.kind) {
    case RecordKind::kLoad:
      return add_load(record);
    case RecordKind::kCase:
      return add_case(record);
    case RecordKind::kExit:
      return add_exit(record);
    case RecordKind::kDenied:
      denied_ = &record;
      break;
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

// The refusal names its call, save while all signals are blocked, as C libraries do to make a
// process.
void judge_denied(Outcome& outcome, const Record* record) {
  if (record == nullptr) {
    return set(outcome, Verdict::kDenied, "a system call made while signals were blocked");
  }
  outcome.syscall = syscall_name(record->number);
  set(outcome, Verdict::kDenied, "system call " + outcome.syscall);
}

void judge_signal(Outcome& outcome, const Limits& limits, int signal, bool out_of_memory) {
  if (signal == SIGSYS) return judge_denied(outcome, nullptr);
  if (signal == SIGXCPU) {
    return set(outcome, Verdict::kTimeout, "CPU limit of " + std::to_string(limits.cpu()) + " ms");
  }
  if (signal == SIGKILL && out_of_memory) {
    return set(outcome, Verdict::kMemory, "all its processes together used too much");
  }
  outcome.signal = signal;
  const char* name = ::sigabbrev_np(signal);
  set(outcome, Verdict::kCrash, std::string("killed by SIG") + (name == nullptr ? "?" : name));
}

void judge_exit(Outcome& outcome, int wait_status, const Reader& reader) {
  if (wait_status == 0 && reader.done()) return;  // what the records say
  const int status = WEXITSTATUS(wait_status);
  if (status == kExitDenied && reader.denied() != nullptr) {
    return judge_denied(outcome, reader.denied());
  }
  outcome.exit = status;
  if (status == kExitLimitsFailed || status == kExitFilterFailed) {
    set(outcome, Verdict::kCrash, "a layer of the sandbox could not be put on; nothing was run");
  } else if (status == kExitForkFailed) {
    set(outcome, Verdict::kCrash, "no process could be made");
  } else {
    set(outcome, Verdict::kCrash,
        "ended without a result, with exit status " + std::to_string(status));
  }
}

}  // namespace

Outcome judge(const Asked& asked, const Ending& ending, std::span<const char> output,
              const Token& token) {
  Outcome outcome;
  const auto records = read_records(output, token);
  Reader reader(asked, outcome);
  const int status = ending.report.wait_status;
  if (!records || !reader.read(*records)) {
    outcome = {};
    set(outcome, Verdict::kCrash, "its records are damaged");
  } else if (ending.zygote_died) {
    set(outcome, Verdict::kCrash, "its zygote died");
  } else if (ending.killed != KillReason::kNone) {
    judge_kill(outcome, ending.killed, asked.limits);
  } else if (!WIFEXITED(status)) {
    judge_signal(outcome, asked.limits, WTERMSIG(status), ending.out_of_memory);
  } else {
    judge_exit(outcome, status, reader);
  }
  outcome.cpu_us = ending.report.cpu_us;
  outcome.max_rss_kib = ending.report.max_rss_kib;
  outcome.faults = ending.report.faults;
  return outcome;
}

}  // namespace azr
