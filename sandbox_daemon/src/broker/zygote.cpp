#include "zygote.h"

#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cassert>
#include <csignal>

#include "error.h"

namespace azr {
namespace {

constexpr uint64_t kJailTasks = 72;            // those of the limit on each user, and the zygote
constexpr uint64_t kJailFolder = 64ull << 20;  // bytes: its size
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
  loop_.add(process_.control.get(), EPOLLIN, [this](uint32_t events) { on_control(events); });
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

void Zygote::start(const Task& task, TimePoint deadline, Deliver deliver) {
  assert(idle());
  state_ = State::kBusy;
  ++jobs_;
  const bool clean = region_->clear(region_fd_.get()) && limit_group(task.limits);
  write_request(task.request, region_->input());
  if (config_.tier != Tier::kRewind) {  // there no program can change them
    out_->reset_flags();
    err_->reset_flags();
  }
  run_ = std::make_unique<ZygoteRun>(loop_, task, deadline, *out_, *err_, std::move(deliver));
  const bool sent = clean && run_->send(process_.control.get());
  const auto patience = std::chrono::ceil<Milliseconds>(deadline - Clock::now()) + kEndPatience;
  watch(patience, "wedged");
  if (!sent) loop_.defer([this] { on_death("cannot be reached"); });
}

void Zygote::cancel() {
  if (run_) run_->kill(KillReason::kCancelled);
}

// One message: the loop calls again while there are more.
void Zygote::on_control(uint32_t) {
  auto message = receive_message(process_.control.get());
  if (message) {
    handle(*message);
  } else if (errno != EAGAIN) {
    on_death("it died");
  }
}

void Zygote::handle(Message& message) {
  const auto report = from_bytes<DoneReport>(message.body);
  const auto unserved = from_bytes<Unserved>(message.body);
  if (message.type == MessageType::kReady && state_ == State::kStarting) {
    on_ready(message.body);
  } else if (message.type == MessageType::kFailed) {
    on_death(message.body);
  } else if (message.type == MessageType::kStarted && run_ && message.fds.size() == 1) {
    const auto cpu_before = from_bytes<int64_t>(message.body);
    run_->on_started(std::move(message.fds[0]), cpu_before.value_or(0));
  } else if (message.type == MessageType::kDone && run_ && report) {
    on_done(*report);
  } else if (message.type == MessageType::kUnserved && run_ && unserved) {
    on_unserved(*unserved);
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
void Zygote::on_done(const DoneReport& report) {
  const bool died = WIFSIGNALED(report.wait_status) && !run_->killed();
  if (config_.tier == Tier::kRewind && died) return on_unserved(Unserved{});
  unwatch();
  state_ = State::kIdle;
  end_run(report, /*died=*/false);
  events_.on_idle();
}

void Zygote::on_unserved(const Unserved& why) {
  unwatch();
  state_ = State::kIdle;
  std::exchange(run_, nullptr)->finish_unserved(why);
  events_.on_idle();
}

void Zygote::end_run(const DoneReport& report, bool died) {
  const auto run = std::move(run_);
  const bool killed = WIFSIGNALED(report.wait_status) && WTERMSIG(report.wait_status) == SIGKILL;
  const bool out_of_memory = killed && group_ && group_->new_memory_kills();
  run->finish({KillReason::kNone, report, died, out_of_memory}, region_->output());
}

void Zygote::on_death(const std::string& why) {
  if (state_ == State::kDead) return;
  const bool was_starting = state_ == State::kStarting;
  unwatch();
  loop_.remove(process_.control.get());
  state_ = State::kDead;
  kill_process();  // with its pid namespace every child goes too
  process_ = {};
  if (run_) end_run({}, /*died=*/true);
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
  ::getrandom(&config_.hash_seed, sizeof config_.hash_seed, 0);
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
