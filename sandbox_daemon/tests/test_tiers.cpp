// A job begins in the fastest tier that will do, and moves on from one that cannot serve it.
#include <thread>

#include "commands/call_command.h"
#include "expect.h"
#include "scheduler_cases.h"

namespace {

using namespace azr;

// What the first tier cannot serve the fallback's worker does, also when nobody of the first lives.
void falling_back() {
  for (const bool alive : {true, false}) {
    EventLoop loop;
    Scheduler scheduler(loop);
    NeverIdle rewinding(alive, alive), forking(true);
    scheduler.add_worker(rewinding, 1, Tier::kRewind);
    scheduler.add_worker(forking, 0, Tier::kFork);
    int told = 0;
    scheduler.on_unserved([&](const std::string& what) { told += what == "mmap" ? 1 : 100; });
    JobSpec spec;
    spec.arguments = {"1"};
    spec.pools = {1, 0};
    std::optional<JobResult> result;
    scheduler.submit(std::make_shared<Job>(
        spec, 1, [&](const JobSpec&, JobResult done) { result = std::move(done); }));
    turn(loop);
    EXPECT(alive == !!rewinding.deliver_ && alive == !forking.deliver_);
    if (alive) rewinding.deliver_(unserved());
    turn(loop);
    EXPECT(!scheduler.idle() && !result && forking.deliver_);
    if (!forking.deliver_) return;
    forking.deliver_(with_value("1"));
    EXPECT(result && result->tier == Tier::kFork && result->outcome.verdict == Verdict::kOk);
    EXPECT(result && result->outcome.cpu_us == (alive ? 1000 : 0));
    EXPECT(told == (alive ? 1 : 0) && scheduler.idle());
  }
}

// What falls back goes before its client's younger jobs, whichever fell back first.
void fallen_back_in_order() {
  TwoTiers tiers(2);
  auto& [rewinding, forking, loop, scheduler] = tiers;
  scheduler.submit(job_of("first", 1, 0));
  for (const char* name : {"a", "b"}) scheduler.submit(job_of(name, 1, 1));
  scheduler.submit(job_of("last", 1, 0));
  turn(loop);
  turn(loop);
  EXPECT((rewinding.programs() == Names{"a", "b"}));
  rewinding.refuse();
  rewinding.refuse();
  for (const char* next : {"first", "a", "b", "last"}) {
    EXPECT(forking.programs() == Names{next});
    forking.end();
    turn(loop);
  }
  EXPECT(scheduler.idle());
}

PoolConfig pool_of(Tier tier) { return {std::string(kDefaultPool), 2, "", tier}; }

using Pools = std::vector<size_t>;

// A job begins in the fastest tier that will do.
void tiers() {
  const std::vector<PoolConfig> both = {pool_of(Tier::kFork), pool_of(Tier::kRewind)};
  const auto parsed = [&both](const Command& command) { return parse_call(command, {}, both); };
  const JobSpec plain = parsed({"CALL", "p", "f", "0"});
  EXPECT((plain.pools == Pools{1, 0}) && plain.not_rewound.empty());
  EXPECT((parsed({"CALL", "p", "f", "0", "TIER", "rewind"}).pools == Pools{1, 0}));
  const JobSpec forked = parsed({"CALL", "p", "f", "0", "TIER", "fork"});
  EXPECT(forked.pools == Pools{0} && forked.not_rewound.empty());
  EXPECT(parsed({"CALL", "p", "f", "0", "MEMORY", "99999999"}).not_rewound == "memory_limit");
  EXPECT(parsed({"CALL", std::string(1 << 21, '#'), "f", "0"}).not_rewound == "long_request");
  EXPECT(parse_run({"RUN", "p", "STDIN", "x"}, {}, both).not_rewound == "stdin");
  const JobSpec alone = parse_call({"CALL", "p", "f", "0"}, {}, std::span(both).first(1));
  EXPECT(alone.pools == Pools{0} && alone.not_rewound.empty());
}

// A script that names no tier goes on to the jail; nothing runs with less than it asks for.
void scripts_may_come_to_the_jail() {
  std::vector<PoolConfig> all = {pool_of(Tier::kFork), pool_of(Tier::kRewind),
                                 pool_of(Tier::kJail)};
  const auto pools = [&all](const Command& command) {
    return command[0] == "RUN" ? parse_run(command, {}, all).pools
                               : parse_call(command, {}, all).pools;
  };
  EXPECT((pools({"RUN", "p"}) == Pools{1, 0, 2}));
  EXPECT((pools({"RUN", "p", "STDIN", "x"}) == Pools{0, 2}));
  EXPECT((pools({"RUN", "p", "TIER", "rewind"}) == Pools{1, 0}));
  EXPECT((pools({"RUN", "p", "TIER", "fork"}) == Pools{0}));
  EXPECT((pools({"RUN", "p", "TIER", "jail"}) == Pools{2}));
  EXPECT((pools({"CALL", "p", "f", "0"}) == Pools{1, 0}));
  EXPECT((pools({"CALL", "p", "f", "0", "TIER", "jail"}) == Pools{2}));
  all[2].is_there = false;
  EXPECT((pools({"RUN", "p"}) == Pools{1, 0}));
}

// In each tier a job's clock starts anew; all that it used is told.
void budgets() {
  TwoTiers tiers(1);
  auto& [rewinding, forking, loop, scheduler] = tiers;
  JobSpec spec;
  spec.pools = {1, 0};
  spec.limits.timeout_ms = 1'000;
  std::optional<JobResult> result;
  const auto job = std::make_shared<Job>(
      spec, 1, [&](const JobSpec&, JobResult done) { result = std::move(done); });
  scheduler.submit(job);
  turn(loop);
  const TimePoint first = *job->deadline();
  std::this_thread::sleep_for(Milliseconds(20));
  rewinding.refuse();
  EXPECT(!job->deadline());  // it waits without a clock
  std::this_thread::sleep_for(Milliseconds(20));
  turn(loop);
  EXPECT(*job->deadline() - first >= Milliseconds(40));
  forking.end();
  EXPECT(result && result->lost_us >= 40'000 && result->outcome.wall_us >= result->lost_us);
  EXPECT(result && result->outcome.cpu_us == 1'000);
}

// When one task falls back, so do those that have not started; one that a worker gives back later
// joins them. Their deadline is the new tier's.
void tasks_fall_back_together() {
  TwoTiers tiers(2);
  auto& [rewinding, forking, loop, scheduler] = tiers;
  JobSpec spec;
  spec.pools = {1, 0};
  spec.arguments = {"1", "2", "3"};
  spec.isolate = true;
  std::optional<JobResult> result;
  scheduler.submit(std::make_shared<Job>(
      spec, 1, [&](const JobSpec&, JobResult done) { result = std::move(done); }));
  turn(loop);
  turn(loop);
  EXPECT(rewinding.programs().size() == 2);
  rewinding.refuse();
  rewinding.give_back(0);
  for (int i = 0; i < 3; ++i) {
    turn(loop);
    EXPECT(rewinding.idle() && forking.programs().size() == 1);
    forking.end();
  }
  EXPECT(result && result->outcome.cases.size() == 3 && result->tier == Tier::kFork);
  EXPECT(scheduler.idle());
}

}  // namespace

int main() {
  falling_back();
  fallen_back_in_order();
  tiers();
  scripts_may_come_to_the_jail();
  budgets();
  tasks_fall_back_together();
  return test_result();
}
