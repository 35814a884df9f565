#include "job.h"

#include <algorithm>

namespace azr {

Job::Job(JobSpec spec, uint64_t client, Deliver deliver)
    : spec_(std::move(spec)), client_(client), deliver_(std::move(deliver)) {
  const size_t cases = spec_.arguments.size();
  const size_t step = spec_.isolate && cases > 0 ? 1 : std::max<size_t>(cases, 1);
  for (size_t first = 0; first < std::max<size_t>(cases, 1); first += step) {
    for (size_t replica = 0; replica < spec_.replicas; ++replica) {
      units_.push_back({replica, first, std::min(step, cases), std::nullopt, false, {}});
    }
  }
}

std::optional<size_t> Job::next_unit(size_t slot) const {
  for (size_t i = 0; i < units_.size(); i += spec_.replicas) {
    const auto begin = units_.begin() + static_cast<ptrdiff_t>(i);
    const auto end = begin + static_cast<ptrdiff_t>(spec_.replicas);
    if (std::any_of(begin, end, [&](const Unit& unit) { return unit.slot == slot; })) continue;
    const auto free = std::find_if(begin, end, [](const Unit& unit) { return !unit.started; });
    if (free != end) return static_cast<size_t>(free - units_.begin());
  }
  return std::nullopt;
}

Task Job::task(size_t index) const {
  const Unit& unit = units_[index];
  Task task{spec_.kind,   {spec_.program, spec_.entry, {}}, spec_.stdin_data,
            spec_.limits, spec_.seed.has_value(),           spec_.seed.value_or(0)};
  const auto first = spec_.arguments.begin() + static_cast<ptrdiff_t>(unit.first_case);
  task.request.arguments.assign(first, first + static_cast<ptrdiff_t>(unit.cases));
  return task;
}

TimePoint Job::begin(size_t index, size_t slot) {
  Unit& unit = units_[index];
  unit.slot = slot;
  unit.started = true;
  ++started_;
  if (!deadline_) {
    begun_ = Clock::now();
    deadline_ = begun_ + Milliseconds(spec_.limits.timeout_ms);
  }
  return *deadline_;
}

void Job::finish(size_t index, Outcome outcome) {
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
  const auto wall = Clock::now() - begun_;
  result.outcome.wall_us = std::chrono::duration_cast<std::chrono::microseconds>(wall).count();
  return result;
}

}  // namespace azr
