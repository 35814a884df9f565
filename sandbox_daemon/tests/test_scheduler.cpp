// Jobs wait for workers, and each goes where it is served first.
#include <thread>

#include "broker/job.h"
#include "broker/scheduler.h"
#include "commands/call_command.h"
#include "expect.h"
#include "job_cases.h"
#include "shared/error.h"

namespace {

using namespace azr;

// After 1 ms of CPU time.
Outcome unserved() {
  Outcome outcome;
  outcome.unserved = "mmap";
  outcome.cpu_us = 1000;
  return outcome;
}

class NeverIdle : public Worker {
 public:
  explicit NeverIdle(bool once, bool alive = true) : idle_(once), alive_(alive) {}
  bool idle() const override { return idle_; }
  bool has_room() const override { return false; }
  bool alive() const override { return alive_; }
  void start(const Task&, Begin begin, Deliver deliver) override {
    begin();
    idle_ = false;
    deliver_ = std::move(deliver);
  }
  void cancel() override {}
  Deliver deliver_;

 private:
  bool idle_, alive_;
};

// Takes tasks while others run, and begins and ends them as the test says.
class Roomy : public Worker {
 public:
  explicit Roomy(size_t room) : room_(room) {}
  bool idle() const override { return tasks_.empty(); }
  bool has_room() const override { return !idle() && tasks_.size() < room_; }
  bool alive() const override { return true; }
  void start(const Task& task, Begin begin, Deliver deliver) override {
    if (idle()) begin();
    tasks_.push_back({std::string(task.request.program), std::move(begin), std::move(deliver)});
  }
  void cancel() override { ++cancelled_; }

  std::vector<std::string> programs() const {
    std::vector<std::string> names;
    for (const auto& task : tasks_) names.push_back(task.program);
    return names;
  }
  // The first task, and the next begins.
  void end() {
    const Given first = take(0);
    first.deliver(with_value("1"));
    if (!tasks_.empty()) tasks_.front().begin();
  }
  // Another tier must run the first task.
  void refuse() { take(0).deliver(unserved()); }
  void give_back(size_t index) {
    Outcome outcome;
    outcome.returned = true;
    take(index).deliver(outcome);
  }
  int cancelled_ = 0;

 private:
  struct Given {
    std::string program;
    Begin begin;
    Deliver deliver;
  };
  Given take(size_t index) {
    const Given given = tasks_[index];
    tasks_.erase(tasks_.begin() + static_cast<ptrdiff_t>(index));
    return given;
  }
  size_t room_;
  std::vector<Given> tasks_;
};

std::string pools_refusal(std::string_view text) {
  try {
    parse_pools(text);
  } catch (const StartError& error) {
    return error.what();
  }
  return "";
}

void pools() {
  const Command command = {"CALL", "p", "f", "0", "REPLICAS", "4", "pool", "sci"};
  EXPECT(parse_call(command, {}, kPools).pools == std::vector<size_t>{1});
  const auto parsed = parse_pools(" a=2:x,y  b=1 c=3: ");
  EXPECT(parsed.size() == 3 && parsed[0].name == "a" && parsed[0].zygotes == 2);
  EXPECT(parsed[0].preload == "x,y" && parsed[1].preload.empty() && parsed[2].preload.empty());
  EXPECT(parse_pools("").empty());
  for (const char* bad : {"a", "=1:x", "a=:x", "a=0:x", "a=257:x", "a=x", "a:1", "a=-1"}) {
    EXPECT(pools_refusal(bad).find("is not NAME=N:MODULE") != std::string::npos);
  }
  for (const char* twice : {"default=1", "a=1 b=1 a=2"}) {
    EXPECT(pools_refusal(twice).find("two pools") != std::string::npos);
  }
}

// What is due now, without waiting for anything else.
void turn(EventLoop& loop) {
  loop.call_after(Milliseconds(0), [] {});
  loop.run_once();
}

// One replica has run; the other's zygote never comes back.
void deadline_of_what_waits() {
  EventLoop loop;
  Scheduler scheduler(loop);
  NeverIdle first(true), dead(false);
  scheduler.add_worker(first, 0, Tier::kFork);
  scheduler.add_worker(dead, 0, Tier::kFork);
  JobSpec spec;
  spec.arguments = {"1"};
  spec.replicas = 2;
  spec.limits.timeout_ms = 20;
  std::optional<JobResult> result;
  scheduler.submit(std::make_shared<Job>(
      spec, 1, [&](const JobSpec&, JobResult done) { result = std::move(done); }));
  turn(loop);
  EXPECT(first.deliver_ != nullptr);
  first.deliver_(with_value("1"));
  for (int i = 0; i < 100 && !result; ++i) loop.run_once();
  EXPECT(result && result->outcome.verdict == Verdict::kNondeterministic);
  EXPECT(result && result->replicas[1][0] == "timeout");
  EXPECT(scheduler.idle());
}

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

using Names = std::vector<std::string>;

struct Ahead {
  explicit Ahead(size_t room) : first(room), second(room) {
    scheduler.add_worker(first, 0, Tier::kRewind);
    scheduler.add_worker(second, 0, Tier::kRewind);
  }
  std::shared_ptr<Job> submit(const char* name, uint64_t client = 1) {
    JobSpec spec;
    spec.program = name;
    spec.arguments = {"1"};
    const auto job = std::make_shared<Job>(
        spec, client, [this, name](const JobSpec&, JobResult) { done.push_back(name); });
    scheduler.submit(job);
    return job;
  }
  EventLoop loop;
  Scheduler scheduler{loop};
  Roomy first, second;
  Names done;
};

// Idle workers come first; what waits for another task has not begun.
void waiting_at_a_worker() {
  Ahead ahead(2);
  const auto a = ahead.submit("a"), b = ahead.submit("b"), c = ahead.submit("c");
  ahead.submit("d");
  ahead.submit("e");
  turn(ahead.loop);
  turn(ahead.loop);
  EXPECT((ahead.first.programs() == Names{"a", "c"}));
  EXPECT((ahead.second.programs() == Names{"b", "d"}));
  EXPECT(a->begun() && b->begun() && !c->begun());
  EXPECT(ahead.scheduler.waiting() == 1 && ahead.scheduler.running() == 4);
  ahead.first.end();
  turn(ahead.loop);
  EXPECT(c->begun() && ahead.done == Names{"a"});
  EXPECT((ahead.first.programs() == Names{"c", "e"}));
  for (Roomy* worker : {&ahead.first, &ahead.first, &ahead.second, &ahead.second}) worker->end();
  EXPECT(ahead.done.size() == 5 && ahead.scheduler.idle());
}

// It goes to whoever is idle, before those that came later.
void given_back() {
  Ahead ahead(3);
  for (const char* name : {"a", "b"}) ahead.submit(name);
  turn(ahead.loop);
  const auto c = ahead.submit("c");
  ahead.submit("d");
  turn(ahead.loop);
  EXPECT((ahead.first.programs() == Names{"a", "c"}));
  ahead.second.end();
  ahead.second.end();
  ahead.first.give_back(1);
  EXPECT(!c->begun() && ahead.scheduler.waiting() == 1);
  turn(ahead.loop);
  EXPECT(ahead.second.programs() == Names{"c"} && c->begun());
  ahead.first.end();
  ahead.second.end();
  EXPECT((ahead.done == Names{"b", "d", "a", "c"}) && ahead.scheduler.idle());
}

// Only what runs is killed for a client that is gone; what waited ends as soon as it begins.
void a_client_leaves() {
  Ahead ahead(2);
  for (const char* name : {"a", "b"}) ahead.submit(name, 1);
  turn(ahead.loop);
  ahead.submit("c", 2);
  turn(ahead.loop);
  ahead.scheduler.drop_client(2);
  EXPECT(ahead.first.cancelled_ == 0);
  ahead.scheduler.drop_client(1);
  EXPECT(ahead.first.cancelled_ == 1 && ahead.second.cancelled_ == 1);
  for (Roomy* worker : {&ahead.first, &ahead.first, &ahead.second}) worker->end();
  EXPECT(ahead.done.empty() && ahead.scheduler.idle());
}

// Of one pool's jobs each client's turn comes, in the order of its own; another pool's do not wait
// for them.
void clients_take_turns() {
  Ahead ahead(1);
  Roomy forking(1);
  ahead.scheduler.add_worker(forking, 1, Tier::kFork);
  for (const char* name : {"a1", "a2", "a3"}) ahead.submit(name, 1);
  for (const char* name : {"b1", "b2"}) ahead.submit(name, 2);
  JobSpec other;
  other.program = "c";
  other.pools = {1};
  ahead.scheduler.submit(std::make_shared<Job>(other, 1, [](const JobSpec&, JobResult) {}));
  turn(ahead.loop);
  EXPECT(forking.programs() == Names{"c"});
  EXPECT(ahead.scheduler.waiting() == 3);
  for (const char* next : {"a2", "b2", "a3"}) {
    ahead.first.end();
    turn(ahead.loop);
    EXPECT(ahead.first.programs() == Names{next});
  }
  EXPECT((ahead.done == Names{"a1", "a2", "b2"}));
}

std::shared_ptr<Job> job_of(const char* name, uint64_t client, size_t pool) {
  JobSpec spec;
  spec.program = name;
  spec.pools = {pool};
  if (pool == 1) spec.pools.push_back(0);
  return std::make_shared<Job>(spec, client, [](const JobSpec&, JobResult) {});
}

// Jobs of a pool that has died take turns with those of the pool that does its work.
void orphans_take_turns() {
  EventLoop loop;
  Scheduler scheduler(loop);
  NeverIdle dead(false, false);
  Roomy forking(1);
  scheduler.add_worker(dead, 1, Tier::kRewind);
  scheduler.add_worker(forking, 0, Tier::kFork);
  for (const char* name : {"a1", "a2", "a3"}) scheduler.submit(job_of(name, 1, 0));
  for (const char* name : {"b1", "b2"}) scheduler.submit(job_of(name, 2, 1));
  for (const char* next : {"a1", "b1", "a2", "b2", "a3"}) {
    turn(loop);
    EXPECT(forking.programs() == Names{next});
    forking.end();
  }
  EXPECT(scheduler.idle());
}

// A worker that rewinds, with room for some jobs, and one that does its work when it cannot.
struct TwoTiers {
  explicit TwoTiers(size_t room) : rewinding(room), forking(1) {
    scheduler.add_worker(rewinding, 1, Tier::kRewind);
    scheduler.add_worker(forking, 0, Tier::kFork);
  }
  Roomy rewinding, forking;
  EventLoop loop;
  Scheduler scheduler{loop};
};

// Of a client that is behind because replies wait for an older one, that one's job begins.
void the_oldest_begins() {
  TwoTiers tiers(1);
  auto& [rewinding, forking, loop, scheduler] = tiers;
  scheduler.submit(job_of("other", 2, 1));
  turn(loop);
  NewJobs which = NewJobs::kOldest;
  scheduler.begin_only([&which](uint64_t) { return which; });
  scheduler.submit(job_of("oldest", 1, 1));
  scheduler.submit(job_of("younger", 1, 0));
  turn(loop);
  EXPECT(forking.programs().empty());
  which = NewJobs::kNone;
  rewinding.end();
  turn(loop);
  EXPECT(rewinding.programs().empty());
  which = NewJobs::kOldest;
  scheduler.pump();
  turn(loop);
  EXPECT(rewinding.programs() == Names{"oldest"} && forking.programs().empty());
  rewinding.end();
  turn(loop);
  EXPECT(forking.programs() == Names{"younger"});
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
  deadline_of_what_waits();
  pools();
  falling_back();
  waiting_at_a_worker();
  given_back();
  a_client_leaves();
  clients_take_turns();
  orphans_take_turns();
  the_oldest_begins();
  fallen_back_in_order();
  tiers();
  scripts_may_come_to_the_jail();
  budgets();
  tasks_fall_back_together();
  return test_result();
}
