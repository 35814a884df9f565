// Many tasks, one answer: cases side by side, usage added up, replicas compared.
#include <algorithm>

#include "broker/job.h"
#include "utf8_cut.h"

namespace azr {
namespace {

// What a case gets that did not finish: how its fork ended. Never `ok`, which needs a value.
CaseResult unfinished(const Outcome& fork) {
  if (fork.verdict == Verdict::kOk) return {Verdict::kCrash, std::nullopt, "", "no result", 0};
  return {fork.verdict, std::nullopt, fork.type, fork.message, fork.line, fork.reason};
}

// At most one of type and reason is there.
template <typename Ended>
std::string text_of(const Ended& ended) {
  const std::string why = ended.type + ended.reason;
  return std::string(verdict_name(ended.verdict)) + (why.empty() ? "" : ":" + why);
}

std::string signature(const CaseResult& result) {
  return result.value ? *result.value : text_of(result);
}

std::string shortened(const std::string& text) {
  constexpr size_t kMost = 200;
  return text.size() <= kMost ? text : std::string(cut_utf8(text, kMost)) + "...";
}

CaseResult differing(const CaseResult& a, const CaseResult& b) {
  return {
      Verdict::kNondeterministic, std::nullopt, "",
      "differs between hash seeds: " + shortened(signature(a)) + " | " + shortened(signature(b)),
      0};
}

// Marks in `first` what `other` does not confirm.
void confirm(Outcome& first, const Outcome& other) {
  bool same =
      first.verdict == other.verdict && first.type == other.type && first.reason == other.reason;
  std::string message = "differs between hash seeds: " + text_of(first) + " | " + text_of(other);
  for (size_t i = 0; i < first.cases.size(); ++i) {
    const CaseResult& result = first.cases[i];
    if (result.verdict == Verdict::kNondeterministic) continue;
    if (result.value.has_value() == other.cases[i].value.has_value() &&
        signature(result) == signature(other.cases[i])) {
      continue;
    }
    first.cases[i] = differing(result, other.cases[i]);
    if (same) message = first.cases[i].message;
    same = false;
  }
  if (same || first.verdict == Verdict::kNondeterministic) return;
  first.verdict = Verdict::kNondeterministic;
  first.message = message;
  first.type.clear();
  first.reason.clear();
  first.line = 0;
}

// A program that could not be loaded in some task has not loaded; else each case stands for itself.
Outcome ending_of(const std::vector<Outcome>& tasks) {
  const auto unloaded = std::ranges::find(tasks, false, &Outcome::loaded);
  Outcome ending;
  if (unloaded == tasks.end()) return ending;
  ending = *unloaded;
  ending.cpu_us = ending.wall_us = ending.max_rss_kib = ending.faults = 0;
  ending.out.clear();
  ending.err.clear();
  ending.cases.clear();
  return ending;
}

}  // namespace

void add_usage(Outcome& sum, const Outcome& task) {
  sum.cpu_us += task.cpu_us;
  sum.max_rss_kib = std::max(sum.max_rss_kib, task.max_rss_kib);
  sum.faults += task.faults;
}

Outcome merge_tasks(std::vector<Outcome> tasks, const JobSpec& spec) {
  if (tasks.size() == 1) {
    Outcome only = std::move(tasks.front());
    only.cases.resize(spec.arguments.size(), unfinished(only));
    return only;
  }
  Outcome merged = ending_of(tasks);
  for (Outcome& task : tasks) {
    merged.cases.push_back(task.cases.empty() ? unfinished(task) : std::move(task.cases.front()));
    add_usage(merged, task);
    merged.out += task.out;
    merged.err += task.err;
  }
  return merged;
}

JobResult compare_replicas(std::vector<Outcome> replicas) {
  JobResult result{.outcome = std::move(replicas.front()), .replicas = {}};
  if (replicas.size() == 1) return result;
  const auto list = [&](const Outcome& outcome) {
    std::vector<std::string> texts;
    for (const auto& one : outcome.cases) texts.push_back(signature(one));
    result.replicas.push_back(std::move(texts));
  };
  list(result.outcome);
  for (size_t i = 1; i < replicas.size(); ++i) list(replicas[i]);
  for (size_t i = 1; i < replicas.size(); ++i) {
    confirm(result.outcome, replicas[i]);
    add_usage(result.outcome, replicas[i]);
  }
  return result;
}

}  // namespace azr
