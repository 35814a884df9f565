// Commands become jobs, jobs become tasks, outcomes become one answer; layers add up to a level.
#include "broker/job.h"
#include "commands/call_command.h"
#include "expect.h"
#include "job_cases.h"
#include "shared/error.h"
#include "shared/layers.h"
#include "utf8_cut.h"

namespace {

using namespace azr;

std::string refusal(const Command& command) {
  try {
    parse_call(command, {}, kPools);
  } catch (const CommandError& error) {
    return error.what;
  }
  return "";
}

void call_words() {
  const JobSpec spec = parse_call(
      {"CALL", "p", "f", "2", "1", "timeout", "timeout", "9", "Seed", "-4", "ISOLATE", "1"}, {},
      kPools);
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

void tasks() {
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
    const auto task = job.next_task(slot);
    EXPECT(task.has_value());
    if (!task) return;
    EXPECT(job.task(*task).request.arguments.size() == 1);
    job.assign(*task, slot, Tier::kFork);
    job.begin(*task);
    started.push_back(*task);
  }
  EXPECT(job.all_started() && !job.next_task(2));
  for (const size_t task : started) {
    Outcome outcome;
    outcome.loaded = true;
    outcome.cases = {{Verdict::kOk, "1", "", "", 0}};
    job.finish(task, outcome);
  }
  EXPECT(delivered == 1);
}

// No word costs more than its length is worth, and no error repeats a long one.
void long_words() {
  const std::string text(1 << 20, '7');
  for (const Command& bad :
       std::initializer_list<Command>{{"CALL", "p", "f", text},
                                      {"CALL", "p", text, "0"},
                                      {"CALL", "p", "f", "0", text, "1"},
                                      {"CALL", "p", "f", "0", "POOL", text},
                                      {"CALL", "p", "f", "0", "TIER", text},
                                      {"CALL", "p", "f", "0", "SEED", text},
                                      {"CALL", "p", "f", "0", "TIMEOUT", text}}) {
    EXPECT(refusal(bad).starts_with("ERR ") && refusal(bad).size() < 300);
  }
  Command many = {"CALL", "p", "f", "9000"};
  many.resize(4 + 9000, "1");
  many.insert(many.end(), {"ISOLATE", "1", "REPLICAS", "2"});
  EXPECT(refusal(many).find("are 18000 programs, at most 16384") != std::string::npos);
}

void ceilings() {
  JobRules rules;
  rules.max_timeout_ms = 500;
  rules.max_memory = 64 << 20;
  const auto refused = [&rules](const char* option, const char* value) {
    try {
      parse_run({"RUN", "p", option, value}, rules, kPools);
    } catch (const CommandError& error) {
      return error.what;
    }
    return std::string();
  };
  EXPECT(refused("TIMEOUT", "500").empty() && refused("CPU", "500").empty());
  EXPECT(refused("TIMEOUT", "501") == "ERR option 'TIMEOUT' must be a number from 1 to 500");
  EXPECT(refused("CPU", "501") == "ERR option 'CPU' must be a number from 1 to 500");
  EXPECT(refused("MEMORY", "67108864").empty());
  EXPECT(refused("MEMORY", "67108865").ends_with("to 67108864"));
}

void replicas_stay_apart() {
  JobSpec spec;
  spec.arguments = {"1"};
  spec.replicas = 2;
  Job job(spec, 1, nullptr);
  const auto first = job.next_task(0);
  EXPECT(first.has_value());
  job.assign(*first, 0, Tier::kFork);
  job.begin(*first);
  EXPECT(!job.next_task(0));  // the other replica waits for another zygote
  EXPECT(job.next_task(1).has_value());
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
  const Outcome merged = merge_tasks({with_value("1"), crashed}, spec);
  EXPECT(merged.verdict == Verdict::kOk);
  EXPECT(merged.cases[0].value == "1" && merged.cases[1].verdict == Verdict::kCrash);
  const Outcome pretender = merge_tasks({Outcome{}}, spec);  // `ok`, and no value for any case
  EXPECT(pretender.cases.size() == 2 && pretender.cases[0].verdict == Verdict::kCrash);
  const Outcome alone = merge_tasks({crashed}, spec);
  EXPECT(alone.verdict == Verdict::kCrash && alone.cases.size() == 2);
}

// However many tasks a job has, what it keeps is bounded by its OUTPUT.
void budget() {
  JobSpec spec;
  spec.arguments = {"1", "2", "3"};
  spec.isolate = true;
  spec.limits.output = spec.limits.values = 10;
  std::optional<JobResult> result;
  Job job(spec, 1, [&](const JobSpec&, JobResult done) { result = std::move(done); });
  for (size_t slot = 0; slot < 2; ++slot) job.assign(*job.next_task(slot), slot, Tier::kFork);
  job.begin(0);
  EXPECT(job.task(0).limits.values == 10);
  Outcome outcome = with_value("123456");
  outcome.out = "1234567";
  job.finish(0, outcome);
  EXPECT(job.task(2).limits.values == 4 && job.task(2).limits.output == 3);
  job.finish(1, outcome);  // ran beside the first, and wrote as much
  job.assign(*job.next_task(0), 0, Tier::kFork);
  job.begin(2);
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
  long_words();
  ceilings();
  tasks();
  replicas_stay_apart();
  comparison();
  isolated_cases();
  budget();
  cuts_between_characters();
  levels();
  return test_result();
}
