// Commands become jobs, jobs become forks, outcomes become one answer; layers add up to a level.
#include "call_command.h"
#include "error.h"
#include "expect.h"
#include "job.h"
#include "layers.h"
#include "scheduler.h"
#include "utf8_cut.h"

namespace {

using namespace azr;

const std::vector<PoolConfig> kPools = {{"default", 2, ""}, {"sci", 4, "numpy"}};

std::string refusal(const Command& command) {
  try {
    parse_call(command, Limits{}, kPools);
  } catch (const CommandError& error) {
    return error.what;
  }
  return "";
}

void call_words() {
  const JobSpec spec = parse_call(
      {"CALL", "p", "f", "2", "1", "timeout", "timeout", "9", "Seed", "-4", "ISOLATE", "1"},
      Limits{}, kPools);
  EXPECT((spec.arguments == std::vector<std::string>{"1", "timeout"}));
  EXPECT(spec.limits.timeout_ms == 9 && spec.seed == -4 && spec.isolate);
  EXPECT(spec.limits.cpu() == 9);
  EXPECT(refusal({"CALL", "p", "f", "0", "COLOUR", "1"}) == "ERR unknown option 'COLOUR'");
  EXPECT(refusal({"CALL", "p", "f", "0", "STDIN", "1"}) == "ERR unknown option 'STDIN'");
  for (const Command& bad :
       std::initializer_list<Command>{{"CALL", "p", "f"},
                                      {"CALL", "p", "f", "x"},
                                      {"CALL", "p", "f", "1"},
                                      {"CALL", "p", "f", "18446744073709551615"},
                                      {"CALL", "p", "f", "0", "TIMEOUT"},
                                      {"CALL", "p", "f", "0", "TIMEOUT", "0"},
                                      {"CALL", "p", "f", "0", "MEMORY", "-1"},
                                      {"CALL", "p", "f", "0", "REPLICAS", "3"},
                                      {"CALL", "p", "f", "0", "POOL", "none"},
                                      {"CALL", "p", "f", "0", "POOL", "sci", "REPLICAS", "5"},
                                      {"CALL", "p", "f", "0", "SEED", "1.5"}}) {
    EXPECT(refusal(bad).starts_with("ERR "));
  }
}

void units() {
  JobSpec spec;
  spec.arguments = {"1", "2", "3"};
  spec.replicas = 2;
  spec.isolate = true;
  int delivered = 0;
  Job job(spec, 1, [&](const JobSpec&, JobResult result) {
    ++delivered;
    EXPECT(result.outcome.cases.size() == 3 && result.replicas.size() == 2);
  });
  std::vector<size_t> started;
  for (const size_t slot : {0, 0, 0, 1, 1, 1}) {
    const auto unit = job.next_unit(slot, 0);
    EXPECT(unit.has_value());
    if (!unit) return;
    EXPECT(job.task(*unit).request.arguments.size() == 1);
    job.assign(*unit, slot, Tier::kFork);
    job.begin();
    started.push_back(*unit);
  }
  EXPECT(job.all_started() && !job.next_unit(2, 0));
  for (const size_t unit : started) {
    Outcome outcome;
    outcome.loaded = true;
    outcome.cases = {{Verdict::kOk, "1", "", "", 0}};
    job.finish(unit, outcome);
  }
  EXPECT(delivered == 1);
}

void replicas_stay_apart() {
  JobSpec spec;
  spec.arguments = {"1"};
  spec.replicas = 2;
  Job job(spec, 1, nullptr);
  const auto first = job.next_unit(0, 0);
  EXPECT(first.has_value());
  job.assign(*first, 0, Tier::kFork);
  job.begin();
  EXPECT(!job.next_unit(0, 0));  // the other replica waits for another zygote
  EXPECT(job.next_unit(1, 0).has_value());
}

Outcome with_value(const std::string& text) {
  Outcome outcome;
  outcome.loaded = true;
  outcome.cases = {{Verdict::kOk, text, "", "", 0}};
  return outcome;
}

void comparison() {
  EXPECT(compare_replicas({with_value("1"), with_value("1")}).outcome.verdict == Verdict::kOk);
  const JobResult differs = compare_replicas({with_value("1"), with_value("2")});
  EXPECT(differs.outcome.verdict == Verdict::kNondeterministic);
  EXPECT(differs.outcome.cases[0].verdict == Verdict::kNondeterministic);
  EXPECT(!differs.outcome.cases[0].value);
  EXPECT((differs.replicas == std::vector<std::vector<std::string>>{{"1"}, {"2"}}));
  Outcome failed = with_value("1");
  failed.cases[0] = {Verdict::kError, std::nullopt, "1", "", 0};
  EXPECT(compare_replicas({with_value("error:1"), failed}).outcome.verdict ==
         Verdict::kNondeterministic);
}

void isolated_cases() {
  JobSpec spec;
  spec.arguments = {"1", "2"};
  Outcome crashed;
  crashed.loaded = true;
  crashed.verdict = Verdict::kCrash;
  crashed.message = "killed";
  const Outcome merged = merge_forks({with_value("1"), crashed}, spec);
  EXPECT(merged.verdict == Verdict::kOk);
  EXPECT(merged.cases[0].value == "1" && merged.cases[1].verdict == Verdict::kCrash);
  const Outcome pretender = merge_forks({Outcome{}}, spec);  // `ok`, and no value for any case
  EXPECT(pretender.cases.size() == 2 && pretender.cases[0].verdict == Verdict::kCrash);
  const Outcome alone = merge_forks({crashed}, spec);
  EXPECT(alone.verdict == Verdict::kCrash && alone.cases.size() == 2);
}

// However many forks a job has, what it keeps is bounded by its OUTPUT.
void budget() {
  JobSpec spec;
  spec.arguments = {"1", "2", "3"};
  spec.isolate = true;
  spec.limits.output = spec.limits.values = 10;
  std::optional<JobResult> result;
  Job job(spec, 1, [&](const JobSpec&, JobResult done) { result = std::move(done); });
  for (size_t unit = 0; unit < 2; ++unit) job.assign(*job.next_unit(unit, 0), unit, Tier::kFork);
  job.begin();
  EXPECT(job.task(0).limits.values == 10);
  Outcome outcome = with_value("123456");
  outcome.out = "1234567";
  job.finish(0, outcome);
  EXPECT(job.task(2).limits.values == 4 && job.task(2).limits.output == 3);
  job.finish(1, outcome);  // ran beside the first, and wrote as much
  job.assign(*job.next_unit(0, 0), 0, Tier::kFork);
  job.begin();
  outcome.out = "123";
  job.finish(2, outcome);
  EXPECT(result && result->outcome.out == "1234567123");
  if (!result) return;
  const auto& cases = result->outcome.cases;
  EXPECT(cases[0].value == "123456");
  EXPECT(cases[1].verdict == Verdict::kOutput && !cases[1].value);
  EXPECT(cases[2].verdict == Verdict::kOutput && !cases[2].value);
}

void cuts_between_characters() {
  const std::string text = "'a" + std::string(300, 'x') + "'";
  std::string accents = "'";
  for (int i = 0; i < 200; ++i) accents += "\xc3\xa9";
  const JobResult differs = compare_replicas({with_value(text), with_value(accents)});
  EXPECT(differs.outcome.message.ends_with("\xc3\xa9..."));
  EXPECT(cut_utf8("\xc3\xa9", 1).empty() && cut_utf8("a\xc3\xa9", 3).size() == 3);
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
  EXPECT(parse_call(command, Limits{}, kPools).pool == 1);
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
    scheduler.on_unserved([&](const Unserved& why) { told += why.syscall == 9 ? 1 : 100; });
    JobSpec spec;
    spec.arguments = {"1"};
    spec.pool = 1;
    spec.fallback = 0;
    std::optional<JobResult> result;
    scheduler.submit(std::make_shared<Job>(
        spec, 1, [&](const JobSpec&, JobResult done) { result = std::move(done); }));
    turn(loop);
    EXPECT(alive == !!rewinding.deliver_ && alive == !forking.deliver_);
    Outcome unserved;
    unserved.unserved = Unserved{9};
    if (alive) rewinding.deliver_(unserved);
    turn(loop);
    EXPECT(!scheduler.idle() && !result && forking.deliver_);
    if (!forking.deliver_) return;
    forking.deliver_(with_value("1"));
    EXPECT(result && result->tier == Tier::kFork && result->outcome.verdict == Verdict::kOk);
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

PoolConfig pool_of(Tier tier) { return {std::string(kDefaultPool), 2, "", tier}; }

// A job begins in the fastest tier that will do.
void tiers() {
  const std::vector<PoolConfig> both = {pool_of(Tier::kFork), pool_of(Tier::kRewind)};
  const auto parsed = [&both](const Command& command) {
    return parse_call(command, Limits{}, both);
  };
  const JobSpec plain = parsed({"CALL", "p", "f", "0"});
  EXPECT(plain.pool == 1 && plain.fallback == 0u && plain.not_rewound.empty());
  EXPECT(parsed({"CALL", "p", "f", "0", "TIER", "rewind"}).pool == 1);
  const JobSpec forked = parsed({"CALL", "p", "f", "0", "TIER", "fork"});
  EXPECT(forked.pool == 0 && !forked.fallback && forked.not_rewound.empty());
  EXPECT(parsed({"CALL", "p", "f", "0", "MEMORY", "99999999"}).not_rewound == "memory_limit");
  EXPECT(parse_run({"RUN", "p", "STDIN", "x"}, Limits{}, both).not_rewound == "stdin");
  const JobSpec alone = parse_call({"CALL", "p", "f", "0"}, Limits{}, std::span(both).first(1));
  EXPECT(alone.pool == 0 && !alone.fallback && alone.not_rewound.empty());
}

void levels() {
  Layers layers;
  for (const char* name : {"user_ns", "mount_ns", "pid_ns", "net_ns", "ipc_ns", "uts_ns", "root",
                           "capabilities", "no_new_privs", "rlimits", "seccomp"}) {
    EXPECT(level_of(layers) < Level::kNamespaces);
    layers.push_back({name, true, "why"});
  }
  EXPECT(level_of(layers) == Level::kNamespaces);
  EXPECT(missing_layer(layers, Level::kFull) != nullptr);
  layers.push_back({"landlock", true, ""});
  EXPECT(level_of(parse_layers(serialize_layers(layers))) == Level::kFull);
  layers[0].on = false;
  EXPECT(level_of(layers) == Level::kSeccomp);
  EXPECT(missing_layer(layers, Level::kNamespaces)->name == "user_ns");
  EXPECT(shortfall(layers, Level::kSeccomp).empty());
  EXPECT(shortfall(layers, Level::kNamespaces).find("user_ns") != std::string::npos);
  Layers strong = layers;
  strong[0].on = true;
  EXPECT(level_of(strong) == Level::kFull);
  EXPECT(level_of(weaker_of(strong, layers)) == Level::kSeccomp);
  EXPECT(level_of(weaker_of(layers, strong)) == Level::kSeccomp);
  EXPECT(level_of(weaker_of(strong, {})) == Level::kFull);  // one that has not reported yet
}

}  // namespace

int main() {
  call_words();
  units();
  replicas_stay_apart();
  comparison();
  isolated_cases();
  budget();
  cuts_between_characters();
  deadline_of_what_waits();
  pools();
  falling_back();
  waiting_at_a_worker();
  given_back();
  a_client_leaves();
  tiers();
  levels();
  return test_result();
}
