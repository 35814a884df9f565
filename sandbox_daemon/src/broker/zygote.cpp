#include "broker/zygote.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>

#include "broker/fork_worker.h"
#include "broker/rewind_worker.h"
#include "shared/error.h"
#include "shared/random.h"

namespace azr {
namespace {

constexpr Milliseconds kStartPatience{30'000};
constexpr Milliseconds kEndPatience{5'000};  // beyond a deadline, for the zygote to report the end

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
  on_spawned();
  loop_.add(process_.control.get(), EPOLLIN, [this](uint32_t) { take_message(); });
  watch(kStartPatience, "zygote: not ready after 30 s");
}

std::unique_ptr<ZygoteRun> Zygote::make_run(const Task& task, Begin begin, Deliver deliver) {
  ++programs_;
  return std::make_unique<ZygoteRun>(loop_, task, *out_, *err_, std::move(begin),
                                     std::move(deliver));
}

void Zygote::begin_run() {
  state_ = State::kBusy;
  const TimePoint deadline = run_->begin([this] {
    if (run_) on_output();
  });
  watch(std::chrono::ceil<Milliseconds>(deadline - Clock::now()) + kEndPatience, "wedged");
}

void Zygote::expect(bool sent) {
  if (!sent) loop_.defer([this] { on_death("it cannot be reached"); });
}

void Zygote::become_idle() {
  unwatch();
  state_ = State::kIdle;
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

void Zygote::handle(Message& message) {
  if (message.type == MessageType::kFailed) {
    on_death(message.body);
  } else if (!handle_known(message) && !handle_other(message)) {
    on_death("it spoke out of turn");
  }
}

// False for what only some kinds of zygotes say, or none at this time.
bool Zygote::handle_known(Message& message) {
  const auto body = std::string_view(message.body);
  const auto report = from_bytes<DoneReport>(body.substr(0, sizeof(DoneReport)));
  if (message.type == MessageType::kReady && state_ == State::kStarting) {
    on_ready(message.body);
  } else if (message.type == MessageType::kStarted && run_ && message.fds.size() == 1) {
    const auto cpu_before = from_bytes<int64_t>(message.body);
    run_->on_started(std::move(message.fds[0]), cpu_before.value_or(0));
  } else if (message.type == MessageType::kDone && run_ && report) {
    on_done(*report, body.substr(sizeof *report));
  } else {
    return false;
  }
  return true;
}

void Zygote::on_ready(const std::string& body) {
  Layers layers = parse_layers(body);
  on_layers(layers);
  const std::string missing = shortfall(layers, config_.require);
  if (!missing.empty()) return on_death(missing);
  given_up_ = false;
  layers_ = layers;
  become_idle();
  events_.on_ready();
  events_.on_idle();
}

void Zygote::on_death(const std::string& why) {
  if (state_ == State::kDead) return;
  const bool was_starting = state_ == State::kStarting;
  unwatch();
  loop_.remove(process_.control.get());
  state_ = State::kDead;
  kill_process();  // with its pid namespace every child goes too
  process_ = {};
  on_died();
  if (was_starting) {
    retry();
    events_.on_failed(why.starts_with("it ") ? "zygote: " + why + " before it was ready" : why);
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
    retry();
    events_.on_failed(error.what());
  }
}

void Zygote::retry() {
  given_up_ = true;
  loop_.call_after(retry_delay(), [this] { respawn(); });
}

void Zygote::kill_process() {
  if (!process_.pidfd) return;
  cancel();
  ::syscall(SYS_pidfd_send_signal, process_.pidfd.get(), SIGKILL, nullptr, 0);
  ::waitpid(process_.pid, nullptr, 0);
  process_.pidfd.reset();
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

std::unique_ptr<Zygote> make_zygote(EventLoop& loop, SpawnConfig config, Zygote::Events events) {
  if (config.tier == Tier::kRewind) {
    return std::make_unique<RewindWorker>(loop, std::move(config), std::move(events));
  }
  return std::make_unique<ForkWorker>(loop, std::move(config), std::move(events));
}

}  // namespace azr
