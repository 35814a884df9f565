// Many forks, one answer: cases side by side, usage added up, replicas compared.
#include <algorithm>

#include "job.h"
#include "utf8_cut.h"

namespace azr {
namespace {

// What a case gets that did not finish: how its fork ended. Never `ok`, which needs a value.
CaseResult unfinished(const Outcome& fork) {
  if (fork.verdict == Verdict::kOk) return {Verdict::kCrash, std::nullopt, "", "no result", 0};
  return {fork.verdict, std::nullopt, fork.type, fork.message, fork.line};
}

void add_usage(Outcome& sum, const Outcome& fork) {
  sum.cpu_us += fork.cpu_us;
  sum.wall_us += fork.wall_us;
  sum.max_rss_kib = std::max(sum.max_rss_kib, fork.max_rss_kib);
  sum.faults += fork.faults;
}

std::string text_of(Verdict verdict, const std::string& type) {
  return std::string(verdict_name(verdict)) + (type.empty() ? "" : ":" + type);
}

std::string signature(const CaseResult& result) {
  return result.value ? *result.value : text_of(result.verdict, result.type);
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
  bool same = first.verdict == other.verdict && first.type == other.type;
  std::string message = "differs between hash seeds: " + text_of(first.verdict, first.type) +
                        " | " + text_of(other.verdict, other.type);
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
  first.line = 0;
}

// A program that could not be loaded in some fork has not loaded; else each case stands for itself.
Outcome ending_of(const std::vector<Outcome>& forks) {
  const auto unloaded = std::ranges::find(forks, false, &Outcome::loaded);
  Outcome ending;
  if (unloaded == forks.end()) return ending;
  ending = *unloaded;
  ending.cpu_us = ending.wall_us = ending.max_rss_kib = ending.faults = 0;
  ending.out.clear();
  ending.err.clear();
  ending.cases.clear();
  return ending;
}

}  // namespace

Outcome merge_forks(std::vector<Outcome> forks, const JobSpec& spec) {
  if (forks.size() == 1) {
    Outcome only = std::move(forks.front());
    only.cases.resize(spec.arguments.size(), unfinished(only));
    return only;
  }
  Outcome merged = ending_of(forks);
  for (const Outcome& fork : forks) {
    merged.cases.push_back(fork.cases.empty() ? unfinished(fork) : fork.cases.front());
    add_usage(merged, fork);
    merged.out += fork.out;
    merged.err += fork.err;
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
    result.outcome.cpu_us += replicas[i].cpu_us;
    result.outcome.max_rss_kib = std::max(result.outcome.max_rss_kib, replicas[i].max_rss_kib);
    result.outcome.faults += replicas[i].faults;
  }
  return result;
}

}  // namespace azr
