#include "broker/job.h"

#include <algorithm>
#include <cassert>

namespace azr {
namespace {

// What is left of an outcome whose text the job has no room for: its usage.
Outcome output_exceeded(Outcome outcome, std::string message) {
  outcome.verdict = Verdict::kOutput;
  outcome.message = std::move(message);
  outcome.type.clear();
  outcome.reason.clear();
  outcome.line = 0;
  outcome.exit.reset();
  for (std::string* text : {&outcome.out, &outcome.err}) std::string().swap(*text);
  std::vector<CaseResult>().swap(outcome.cases);
  return outcome;
}

int64_t microseconds(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

}  // namespace

Job::Job(JobSpec spec, uint64_t client, Deliver deliver)
    : spec_(std::move(spec)),
      client_(client),
      deliver_(std::move(deliver)),
      left_(spec_.replicas, {spec_.limits.output, spec_.limits.values}),
      begun_(spec_.pools.size()) {
  const size_t cases = spec_.arguments.size();
  const size_t step = spec_.isolate && cases > 0 ? 1 : std::max<size_t>(cases, 1);
  tasks_.reserve(spec_.tasks());
  for (size_t first = 0; first < std::max<size_t>(cases, 1); first += step) {
    for (size_t replica = 0; replica < spec_.replicas; ++replica) {
      tasks_.push_back({.replica = replica,
                        .first_case = first,
                        .cases = std::min(step, cases),
                        .slot = std::nullopt,
                        .outcome = {}});
    }
  }
}

std::optional<size_t> Job::next_task(size_t slot) const {
  for (size_t i = open_ - open_ % spec_.replicas; i < tasks_.size(); i += spec_.replicas) {
    const auto begin = tasks_.begin() + static_cast<ptrdiff_t>(i);
    const auto end = begin + static_cast<ptrdiff_t>(spec_.replicas);
    if (std::any_of(begin, end, [&](const TaskState& task) { return task.slot == slot; })) continue;
    const auto free = std::find_if(begin, end, [](const auto& task) { return !task.started; });
    if (free != end) return static_cast<size_t>(free - tasks_.begin());
  }
  return std::nullopt;
}

bool Job::begun() const {
  return std::ranges::any_of(begun_, [](const auto& when) { return when.has_value(); });
}

Task Job::task(size_t index) const {
  const TaskState& state = tasks_[index];
  Task task{.kind = spec_.kind,
            .request = {spec_.program, spec_.entry, {}},
            .stdin_data = spec_.stdin_data,
            .limits = spec_.limits,
            .has_seed = spec_.seed.has_value(),
            .seed = spec_.seed.value_or(0),
            .falls_back = state.stage + 1 < spec_.pools.size(),
            .replica = static_cast<uint32_t>(state.replica)};
  task.limits.output = left_[state.replica].streams;
  task.limits.values = left_[state.replica].values;
  const auto first = spec_.arguments.begin() + static_cast<ptrdiff_t>(state.first_case);
  task.request.arguments.assign(first, first + static_cast<ptrdiff_t>(state.cases));
  return task;
}

void Job::assign(size_t index, size_t slot, Tier tier) {
  TaskState& task = tasks_[index];
  assert(!task.started);
  task.stage = stage_;
  task.slot = slot;
  task.tier = tier;
  task.started = true;
  ++started_;
  while (open_ < tasks_.size() && tasks_[open_].started) ++open_;
}

TimePoint Job::begin(size_t index) {
  auto& begun = begun_[tasks_[index].stage];
  if (!begun) begun = Clock::now();
  return *begun + Milliseconds(spec_.limits.timeout_ms);
}

std::optional<TimePoint> Job::deadline() const {
  if (!begun_[stage_]) return std::nullopt;
  return *begun_[stage_] + Milliseconds(spec_.limits.timeout_ms);
}

void Job::take_back(size_t index) {
  TaskState& task = tasks_[index];
  task.slot.reset();
  task.started = false;
  --started_;
  open_ = std::min(open_, index);
}

void Job::fall_back(size_t index, const Outcome& lost) {
  stage_ = std::max(stage_, tasks_[index].stage + 1);
  assert(stage_ < spec_.pools.size());
  add_usage(lost_, lost);
  take_back(index);
}

// Tasks that ran side by side may each have used what was left: the later one has too much, and
// keeps none of it, so that a job holds no more of the broker's memory than OUTPUT allows.
void Job::charge(Budget& left, Outcome& outcome) const {
  const uint64_t written = outcome.out.size() + outcome.err.size();
  if (written > left.streams) {
    outcome = output_exceeded(
        std::move(outcome), "more than " + std::to_string(spec_.limits.output) + " bytes written");
    return;
  }
  left.streams -= written;
  for (CaseResult& result : outcome.cases) {
    if (!result.value) continue;
    if (result.value->size() > left.values) {
      result = {Verdict::kOutput, std::nullopt, "",
                "values longer than " + std::to_string(spec_.limits.values) + " bytes", 0};
    } else {
      left.values -= result.value->size();
    }
  }
}

void Job::finish(size_t index, Outcome outcome) {
  charge(left_[tasks_[index].replica], outcome);
  tasks_[index].outcome = std::move(outcome);
  if (++finished_ == tasks_.size() && deliver_) deliver_(spec_, result());
}

void Job::expire_rest() {
  for (size_t i = open_; i < tasks_.size(); ++i) {
    if (tasks_[i].started) continue;
    tasks_[i].started = true;
    ++started_;
    Outcome outcome;
    outcome.verdict = Verdict::kTimeout;
    outcome.message = "deadline of " + std::to_string(spec_.limits.timeout_ms) + " ms";
    finish(i, std::move(outcome));
  }
}

// A task may have begun before its worker could tell; several run side by side.
void Job::add_lost(JobResult& result) const {
  std::vector<TimePoint> times;
  for (const auto& when : begun_) {
    if (when) times.push_back(*when);
  }
  add_usage(result.outcome, lost_);
  const int64_t own = tasks_.size() == 1 ? result.outcome.wall_us : 0;
  result.outcome.wall_us = own;
  if (times.empty()) return;
  const TimePoint first = std::ranges::min(times);
  result.lost_us = microseconds(times.back() - first);
  const int64_t wall = microseconds(Clock::now() - first);
  result.outcome.wall_us = std::max<int64_t>(wall, result.lost_us + own);
}

JobResult Job::result() {
  std::vector<Outcome> replicas;
  for (size_t replica = 0; replica < spec_.replicas; ++replica) {
    std::vector<Outcome> outcomes;
    for (size_t i = replica; i < tasks_.size(); i += spec_.replicas) {
      outcomes.push_back(std::move(tasks_[i].outcome));
    }
    replicas.push_back(merge_tasks(std::move(outcomes), spec_));
  }
  JobResult result = compare_replicas(std::move(replicas));
  result.tier = std::ranges::max_element(tasks_, {}, &TaskState::tier)->tier;
  add_lost(result);
  return result;
}

}  // namespace azr
