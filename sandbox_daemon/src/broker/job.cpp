#include "job.h"

#include <algorithm>

namespace azr {
namespace {

// What is left of an outcome whose text the job has no room for: its usage.
Outcome output_exceeded(Outcome outcome, std::string message) {
  outcome.verdict = Verdict::kOutput;
  outcome.message = std::move(message);
  outcome.type.clear();
  outcome.line = 0;
  outcome.exit.reset();
  for (std::string* text : {&outcome.out, &outcome.err}) std::string().swap(*text);
  std::vector<CaseResult>().swap(outcome.cases);
  return outcome;
}

}  // namespace

Job::Job(JobSpec spec, uint64_t client, Deliver deliver)
    : spec_(std::move(spec)),
      client_(client),
      deliver_(std::move(deliver)),
      left_(spec_.replicas, {spec_.limits.output, spec_.limits.values}) {
  const size_t cases = spec_.arguments.size();
  const size_t step = spec_.isolate && cases > 0 ? 1 : std::max<size_t>(cases, 1);
  for (size_t first = 0; first < std::max<size_t>(cases, 1); first += step) {
    for (size_t replica = 0; replica < spec_.replicas; ++replica) {
      units_.push_back({.replica = replica,
                        .first_case = first,
                        .cases = std::min(step, cases),
                        .pool = spec_.pool,
                        .slot = std::nullopt,
                        .outcome = {}});
    }
  }
}

std::optional<size_t> Job::next_unit(size_t slot, size_t pool) const {
  if (pool != spec_.pool && fallen_back_ == 0) return std::nullopt;
  for (size_t i = 0; i < units_.size(); i += spec_.replicas) {
    const auto begin = units_.begin() + static_cast<ptrdiff_t>(i);
    const auto end = begin + static_cast<ptrdiff_t>(spec_.replicas);
    if (std::any_of(begin, end, [&](const Unit& unit) { return unit.slot == slot; })) continue;
    const auto free = std::find_if(
        begin, end, [pool](const Unit& unit) { return !unit.started && unit.pool == pool; });
    if (free != end) return static_cast<size_t>(free - units_.begin());
  }
  return std::nullopt;
}

Task Job::task(size_t index) const {
  const Unit& unit = units_[index];
  Task task{spec_.kind,   {spec_.program, spec_.entry, {}}, spec_.stdin_data,
            spec_.limits, spec_.seed.has_value(),           spec_.seed.value_or(0)};
  task.limits.output = left_[unit.replica].streams;
  task.limits.values = left_[unit.replica].values;
  const auto first = spec_.arguments.begin() + static_cast<ptrdiff_t>(unit.first_case);
  task.request.arguments.assign(first, first + static_cast<ptrdiff_t>(unit.cases));
  return task;
}

void Job::assign(size_t index, size_t slot, Tier tier) {
  Unit& unit = units_[index];
  unit.slot = slot;
  unit.tier = tier;
  unit.started = true;
  ++started_;
}

TimePoint Job::begin() {
  if (!deadline_) {
    begun_ = Clock::now();
    deadline_ = begun_ + Milliseconds(spec_.limits.timeout_ms);
  }
  return *deadline_;
}

bool Job::waits_in(size_t pool) const {
  return !all_started() && std::ranges::any_of(units_, [pool](const Unit& unit) {
    return !unit.started && unit.pool == pool;
  });
}

size_t Job::take_back(size_t index) {
  Unit& unit = units_[index];
  unit.slot.reset();
  unit.started = false;
  --started_;
  return unit.pool;
}

size_t Job::fall_back(size_t index) {
  units_[index].pool = *spec_.fallback;
  ++fallen_back_;
  return take_back(index);
}

// Forks that ran side by side may each have used what was left: the later one has too much, and
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
  charge(left_[units_[index].replica], outcome);
  units_[index].outcome = std::move(outcome);
  if (++finished_ == units_.size() && deliver_) deliver_(spec_, result());
}

void Job::expire_rest() {
  for (size_t i = 0; i < units_.size(); ++i) {
    if (units_[i].started) continue;
    units_[i].started = true;
    ++started_;
    Outcome outcome;
    outcome.verdict = Verdict::kTimeout;
    outcome.message = "deadline of " + std::to_string(spec_.limits.timeout_ms) + " ms";
    finish(i, std::move(outcome));
  }
}

JobResult Job::result() {
  std::vector<Outcome> replicas;
  for (size_t replica = 0; replica < spec_.replicas; ++replica) {
    std::vector<Outcome> forks;
    for (auto& unit : units_) {
      if (unit.replica == replica) forks.push_back(std::move(unit.outcome));
    }
    replicas.push_back(merge_forks(std::move(forks), spec_));
  }
  JobResult result = compare_replicas(std::move(replicas));
  result.tier = std::ranges::max_element(units_, {}, &Unit::tier)->tier;
  // A fork may have begun before its worker could tell; several run side by side.
  const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun_);
  const int64_t least = units_.size() == 1 ? result.outcome.wall_us : 0;
  result.outcome.wall_us = std::max<int64_t>(wall.count(), least);
  return result;
}

}  // namespace azr
