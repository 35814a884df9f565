#include "outcome.h"

#include <sys/wait.h>

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

struct Reading {
  bool done = false;
  const Record* denied = nullptr;
};

// Copies the records into `outcome`; false when they are in no order a child writes them in.
bool read_into(Outcome& outcome, const std::vector<Record>& records, size_t cases,
               Reading& reading) {
  for (const auto& record : records) {
    if (reading.done || reading.denied != nullptr) return false;
    switch (record.kind) {
      case RecordKind::kLoad:
        if (outcome.loaded || !outcome.cases.empty()) return false;
        outcome.loaded = record.verdict == Verdict::kOk;
        take(outcome, record);
        break;
      case RecordKind::kCase:
        if (!outcome.loaded || outcome.cases.size() == cases) return false;
        outcome.cases.push_back(case_of(record));
        break;
      case RecordKind::kExit:
        take(outcome, record);
        outcome.exit = record.number;
        break;
      case RecordKind::kDenied:
        reading.denied = &record;
        break;
      case RecordKind::kDone:
        reading.done = true;
    }
  }
  return true;
}

void judge_kill(Outcome& outcome, const Ending& ending) {
  const Limits& limits = ending.limits;
  if (ending.killed == KillReason::kOutput) {
    set(outcome, Verdict::kOutput, "more than " + std::to_string(limits.output) + " bytes written");
  } else if (ending.killed == KillReason::kCpu) {
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

void judge_signal(Outcome& outcome, const Ending& ending, int signal) {
  if (signal == SIGSYS) return judge_denied(outcome, nullptr);
  if (signal == SIGXCPU) {
    return set(outcome, Verdict::kTimeout,
               "CPU limit of " + std::to_string(ending.limits.cpu()) + " ms");
  }
  outcome.signal = signal;
  const char* name = ::sigabbrev_np(signal);
  set(outcome, Verdict::kCrash, std::string("killed by SIG") + (name == nullptr ? "?" : name));
}

void judge_exit(Outcome& outcome, int status, const Reading& reading) {
  if (status == kExitDenied && reading.denied != nullptr) {
    return judge_denied(outcome, reading.denied);
  }
  if (status == 0 && reading.done) return;  // what the records say
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

Outcome judge(const Ending& ending, std::span<const char> output, const Token& token,
              size_t cases) {
  Outcome outcome;
  outcome.cpu_us = ending.report.cpu_us;
  outcome.max_rss_kib = ending.report.max_rss_kib;
  const auto records = read_records(output, token);
  Reading reading;
  const int status = ending.report.wait_status;
  if (!records || !read_into(outcome, *records, cases, reading)) {
    outcome.loaded = false;
    outcome.cases.clear();
    set(outcome, Verdict::kCrash, "its records are damaged");
  } else if (ending.zygote_died) {
    set(outcome, Verdict::kCrash, "its zygote died");
  } else if (ending.killed != KillReason::kNone) {
    judge_kill(outcome, ending);
  } else if (WIFSIGNALED(status)) {
    judge_signal(outcome, ending, WTERMSIG(status));
  } else {
    judge_exit(outcome, WEXITSTATUS(status), reading);
  }
  return outcome;
}

}  // namespace azr
