// Jobs wait for workers, and each goes where it is served first.
#include "commands/call_command.h"
#include "expect.h"
#include "scheduler_cases.h"
#include "shared/error.h"

namespace {

using namespace azr;

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

}  // namespace

int main() {
  deadline_of_what_waits();
  pools();
  waiting_at_a_worker();
  given_back();
  a_client_leaves();
  clients_take_turns();
  orphans_take_turns();
  the_oldest_begins();
  return test_result();
}
