#include "zygote.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cassert>
#include <csignal>

#include "error.h"
#include "random.h"

namespace azr {
namespace {

constexpr uint64_t kJailTasks = 72;            // those of the limit on each user, and the zygote
constexpr uint64_t kJailFolder = 64ull << 20;  // bytes: its size
constexpr size_t kAhead = 3;                   // jobs that wait for the one that runs
constexpr Milliseconds kStartPatience{30'000};
constexpr Milliseconds kEndPatience{5'000};  // beyond a deadline, for the zygote to report the end
// To try again what could not be started: a rewind zygote most often cannot at all, and others
// serve.
constexpr Milliseconds kRetry{1'000}, kRetryRewind{60'000};

}  // namespace

Zygote::Zygote(EventLoop& loop, SpawnConfig config, Events events)
    : loop_(loop), config_(std::move(config)), events_(std::move(events)) {}

Zygote::~Zygote() {
  unwatch();
  if (process_.control) loop_.remove(process_.control.get());
  kill_process();
}

std::string_view Zygote::state_name() const {
  static constexpr std::string_view kNames[] = {"dead", "starting", "idle", "busy"};
  return kNames[static_cast<int>(state_)];
}

// Every process gets a region and pipes of its own: nothing of the one before lives on.
void Zygote::spawn() {
  region_fd_ = Region::create();
  if (region_fd_) region_ = std::make_unique<Region>(region_fd_.get());
  if (!region_fd_ || !region_->valid()) {
    throw StartError("region: cannot make shared memory: " + errno_text());
  }
  out_ = std::make_unique<OutputPipe>(loop_);
  err_ = std::make_unique<OutputPipe>(loop_);
  if (!out_->valid() || !err_->valid()) throw StartError("cannot make a pipe: " + errno_text());
  process_ = spawn_zygote(config_, {region_fd_.get(), out_->write_end(), err_->write_end()});
  state_ = State::kStarting;
  if (config_.tier == Tier::kJail) make_group();
  loop_.add(process_.control.get(), EPOLLIN, [this](uint32_t) { take_message(); });
  watch(kStartPatience, "zygote: not ready after 30 s");
}

// Before the zygote has made any process: those are born into its group.
void Zygote::make_group() {
  group_ = ControlGroup::make(process_.pid, no_group_);
  if (!group_ || group_->limit_tasks(kJailTasks)) return;
  no_group_ = "no limit can be set (" + errno_text() + ")";
  group_.reset();
}

Layer Zygote::group_layer() const {
  if (!group_) return {"cgroup", false, no_group_};
  return {"cgroup", true, "memory and tasks of each jail in sum"};
}

// The memory of all its processes together, its folder included.
bool Zygote::limit_group(const Limits& limits) {
  return !group_ || group_->limit_memory(memory_before_ + limits.memory + kJailFolder);
}

// Of programs that are put back: while the present one is quick, and does not look like one that
// must be waited for.
bool Zygote::has_room() const {
  return rewinds() && run_ && run_->is_quick() && !wrote_ && waiting_.size() < kAhead;
}

void Zygote::start(const Task& task, Begin begin, Deliver deliver) {
  assert(idle() || has_room());
  ++jobs_;
  auto run =
      std::make_unique<ZygoteRun>(loop_, task, *out_, *err_, std::move(begin), std::move(deliver));
  const bool sent = rewinds() ? run->send_with_request(process_.control.get()) : send(task, *run);
  if (idle()) {
    state_ = State::kBusy;
    run_ = std::move(run);
    begin_run();
  } else {
    waiting_.push_back(std::move(run));
  }
  if (!sent) loop_.defer([this] { on_death("it cannot be reached"); });
}

// To a process that forks: there a program can change what it shares with the next.
bool Zygote::send(const Task& task, ZygoteRun& run) {
  const bool clean = region_->clear(region_fd_.get()) && limit_group(task.limits);
  out_->reset_flags();
  err_->reset_flags();
  return clean && run.send(process_.control.get(), *region_);
}

void Zygote::begin_run() {
  const TimePoint deadline = run_->begin([this] { on_output(); });
  watch(std::chrono::ceil<Milliseconds>(deadline - Clock::now()) + kEndPatience, "wedged");
}

void Zygote::cancel() {
  if (run_) run_->kill(KillReason::kCancelled);
}

// One message: the loop calls again while there are more. False when none was there.
bool Zygote::take_message() {
  auto message = receive_message(process_.control.get());
  if (message) {
    handle(*message);
  } else if (errno != EAGAIN) {
    on_death("it died");
  }
  return message.has_value();
}

// Whose output it is shows in what the zygote has said: it tells of a program's end before the next
// one writes.
void Zygote::on_output() {
  while (!waiting_.empty() && take_message()) {
  }
  if (run_) run_->take_output();
}

void Zygote::handle(Message& message) {
  const auto body = std::string_view(message.body);
  const auto report = from_bytes<DoneReport>(body.substr(0, sizeof(DoneReport)));
  const auto unserved = from_bytes<Unserved>(message.body);
  if (message.type == MessageType::kReady && state_ == State::kStarting) {
    on_ready(message.body);
  } else if (message.type == MessageType::kFailed) {
    on_death(message.body);
  } else if (message.type == MessageType::kStarted && run_ && message.fds.size() == 1) {
    const auto cpu_before = from_bytes<int64_t>(message.body);
    run_->on_started(std::move(message.fds[0]), cpu_before.value_or(0));
  } else if (message.type == MessageType::kDone && run_ && report) {
    on_done(*report, body.substr(sizeof *report));
  } else if (message.type == MessageType::kUnserved && run_ && unserved) {
    on_unserved(*unserved);
  } else if (message.type == MessageType::kReturned && !waiting_.empty()) {
    on_returned();
  } else {
    on_death("it spoke out of turn");
  }
}

void Zygote::on_ready(const std::string& body) {
  Layers layers = parse_layers(body);
  if (config_.tier == Tier::kJail) layers.push_back(group_layer());
  const std::string missing = shortfall(layers, config_.require);
  if (!missing.empty()) return on_death(missing);
  unwatch();
  layers_ = layers;
  if (group_) memory_before_ = group_->memory_used();
  state_ = State::kIdle;
  events_.on_ready();
  events_.on_idle();
}

// A process that many programs share ends for the broker's kills alone. Should it end otherwise, a
// fork shows whether this program was to blame.
void Zygote::on_done(const DoneReport& report, std::string_view records) {
  const bool died = WIFSIGNALED(report.wait_status) && !run_->killed();
  if (rewinds() && died) return on_unserved({.waits = report.waits});
  end_run(report, records.empty() ? region_->output() : std::span(records), /*died=*/false);
  go_on(report.waits);
}

void Zygote::on_unserved(const Unserved& why) {
  std::exchange(run_, nullptr)->finish_unserved(why, why.waits);
  go_on(why.waits);
}

void Zygote::on_returned() {
  const auto run = std::move(waiting_.front());
  waiting_.pop_front();
  run->finish_returned();
}

void Zygote::end_run(const DoneReport& report, std::span<const char> records, bool died) {
  const auto run = std::move(run_);
  const bool killed = WIFSIGNALED(report.wait_status) && WTERMSIG(report.wait_status) == SIGKILL;
  const bool out_of_memory = killed && group_ && group_->new_memory_kills();
  const bool owns_pipes = !rewinds() || report.waits || died;
  run->finish({KillReason::kNone, report, died, out_of_memory}, records, owns_pipes);
}

// A program has ended, and all that it wrote is taken.
void Zygote::go_on(bool waits) {
  unwatch();
  wrote_ = waits;
  state_ = State::kIdle;
  if (!waits && !waiting_.empty()) {
    state_ = State::kBusy;
    run_ = std::move(waiting_.front());
    waiting_.pop_front();
    begin_run();
  }
  if (waits && !send_message(process_.control.get(), MessageType::kGo, {}, {})) {
    loop_.defer([this] { on_death("it cannot be reached"); });
  }
  events_.on_idle();
}

// Its program is lost with a zygote that forks. From one that rewinds another takes it over: what
// it has done so far nobody has seen.
void Zygote::lose_run() {
  if (!rewinds()) return end_run({}, region_->output(), /*died=*/true);
  std::exchange(run_, nullptr)->finish_unserved({}, /*owns_pipes=*/false);
}

void Zygote::on_death(const std::string& why) {
  if (state_ == State::kDead) return;
  const bool was_starting = state_ == State::kStarting;
  unwatch();
  loop_.remove(process_.control.get());
  state_ = State::kDead;
  kill_process();  // with its pid namespace every child goes too
  process_ = {};
  if (run_) lose_run();
  while (!waiting_.empty()) on_returned();
  group_.reset();
  if (was_starting) {
    events_.on_failed(why.starts_with("it ") ? "zygote: " + why + " before it was ready" : why);
    retry();
  } else {
    if (!why.starts_with("it ")) events_.on_failed(why);
    loop_.defer([this] { respawn(); });
  }
}

void Zygote::respawn() {
  ++restarts_;
  config_.hash_seed = random_value<uint32_t>();
  try {
    spawn();
  } catch (const StartError& error) {
    events_.on_failed(error.what());
    retry();
  }
}

void Zygote::retry() {
  const bool rewinds = config_.tier == Tier::kRewind;
  loop_.call_after(rewinds ? kRetryRewind : kRetry, [this] { respawn(); });
}

void Zygote::kill_process() {
  if (!process_.pidfd) return;
  run_ ? run_->kill(KillReason::kCancelled) : void();
  ::syscall(SYS_pidfd_send_signal, process_.pidfd.get(), SIGKILL, nullptr, 0);
  ::waitpid(process_.pid, nullptr, 0);
}

void Zygote::watch(Milliseconds patience, std::string why) {
  unwatch();
  watchdog_ = loop_.call_after(patience, [this, why = std::move(why)] {
    watchdog_.reset();
    on_death(why);
  });
}

void Zygote::unwatch() {
  if (watchdog_) loop_.cancel(*watchdog_);
  watchdog_.reset();
}

}  // namespace azr
