#include "broker/broker.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "broker/activation.h"
#include "broker/cgroup.h"
#include "broker/metrics.h"
#include "broker/settings.h"
#include "shared/error.h"
#include "shared/random.h"

namespace azr {
namespace {

constexpr Milliseconds kMetricsPeriod{5'000};
constexpr Milliseconds kReadPatience{5'000};  // for clients to read the last replies

void tell(const std::string& line) { std::fprintf(stderr, "azr-sandboxd: %s\n", line.c_str()); }

}  // namespace

Broker::Broker(BrokerConfig config, CommandSet commands, Reread reread)
    : config_(std::move(config)),
      commands_(commands),
      reread_(std::move(reread)),
      pools_(config_.all_pools()),
      scheduler_(loop_),
      refusals_(loop_) {
  // What a client does not read must not fill the memory that all share.
  scheduler_.begin_only([this](uint64_t id) {
    const auto found = clients_.find(id);
    if (draining_ || found == clients_.end() || !found->second->behind()) return NewJobs::kAll;
    return found->second->reads() ? NewJobs::kOldest : NewJobs::kNone;
  });
  scheduler_.on_unserved([this](const std::string& what) { ++stats_.unserved[what]; });
  loop_.on_turn([this](Clock::duration taken) { stats_.turn_time.add(taken); });
}

Broker::~Broker() = default;

Layers Broker::layers() const {
  Layers layers;
  for (const auto& zygote : zygotes_) layers = weaker_of(std::move(layers), zygote->layers());
  if (config_.jail == 0) layers.push_back({"cgroup", false, "bounds jails; there are none"});
  if (!is_on(layers, "rewind")) layers.push_back({"rewind", false, no_rewind_});
  return layers;
}

void Broker::start_zygote(size_t pool, unsigned core) {
  Zygote::Events events{[this, pool] { on_zygote_ready(pool); }, [this] { on_zygote_idle(); },
                        [this, pool](const std::string& why) { on_zygote_failed(pool, why); }};
  const SpawnConfig config{.executable = config_.zygote_executable,
                           .preload = pools_[pool].preload,
                           .path = config_.path,
                           .tier = pools_[pool].tier,
                           .hash_seed = random_value<uint32_t>(),
                           .slot = static_cast<unsigned>(zygotes_.size()),
                           .core = core,
                           .paranoid = config_.paranoid,
                           .require = config_.require};
  zygotes_.push_back(make_zygote(loop_, config, std::move(events)));
  zygotes_.back()->spawn();
  scheduler_.add_worker(*zygotes_.back(), pool, pools_[pool].tier);
}

void Broker::start_zygotes() {
  ControlGroup::remove_stale();
  for (size_t pool = 0; pool < pools_.size(); ++pool) {
    for (size_t i = 0; i < pools_[pool].zygotes; ++i) {
      start_zygote(pool, static_cast<unsigned>(i));
    }
  }
  while (ready_ < zygotes_.size() && failure_.empty()) {
    loop_.run_once();
    if (loop_.stopped()) failure_ = "told to stop before it was ready";
  }
  if (!failure_.empty()) throw StartError(failure_);
}

void Broker::on_zygote_ready(size_t pool) {
  pools_[pool].is_there = true;
  if (serving_) return tell_level();
  ++ready_;
}

void Broker::on_zygote_idle() {
  if (!serving_) return;
  scheduler_.pump();
  end_if_drained();
}

// Once for each level lost: a zygote that is replaced may get less than the one before.
void Broker::tell_level() {
  const Level level = level_of(layers());
  if (level >= told_level_) return;
  told_level_ = level;
  tell("isolation is " + std::string(level_name(level)) + " only: see --check");
}

// What of the operator's wishes may be left out where it cannot be had.
bool Broker::is_optional(Tier tier) const {
  return tier == Tier::kRewind || (tier == Tier::kJail && config_.jail_optional);
}

void Broker::on_zygote_failed(size_t pool, const std::string& why) {
  const Tier tier = pools_[pool].tier;
  if (tier == Tier::kRewind) no_rewind_ = why;
  if (tier == Tier::kJail) no_jail_ = why;
  if (is_optional(tier)) pools_[pool].is_there = scheduler_.served(pool);
  if (!serving_ && is_optional(tier)) {
    ++ready_;
  } else if (!serving_) {
    failure_ = why;
  } else {
    tell("a zygote could not be replaced: " + why);
    // Nobody is left to answer what waits.
    if (draining_ && std::ranges::none_of(zygotes_, &Zygote::alive)) loop_.stop();
    end_if_drained();
  }
}

Layers Broker::check() {
  std::erase_if(pools_, [](const PoolConfig& pool) { return pool.name != kDefaultPool; });
  if (config_.rewind == 0) pools_.push_back({pools_[0].name, 1, pools_[0].preload, Tier::kRewind});
  for (PoolConfig& pool : pools_) pool.zygotes = 1;
  config_.require = Level::kNone;  // what there is, whatever it is
  start_zygotes();
  return layers();
}

void Broker::listen() {
  if (UniqueFd passed = passed_socket()) {
    listener_ = std::make_unique<Listener>(std::move(passed), config_.socket, config_.group);
    config_.socket = listener_->path();
  } else {
    listener_ =
        std::make_unique<Listener>(config_.socket, config_.group, config_.end_with.has_value());
  }
}

void Broker::serve() {
  listen();
  watch_signals();
  if (config_.end_with) watch_parent(*config_.end_with);
  start_zygotes();
  tell_level();
  write_metrics();
  serving_ = true;
  if (config_.rewind > 0 && !no_rewind_.empty()) tell(no_rewind_ + ": programs are run in forks");
  if (config_.jail > 0 && !no_jail_.empty()) tell("there are no jails: " + no_jail_);
  loop_.add(listener_->fd(), EPOLLIN, [this](uint32_t) { accept_clients(); });
  std::printf("ready %s\n", config_.socket.c_str());
  // A parent that is gone before it was known who it was has closed its end of the pipe.
  if (std::fflush(stdout) != 0 && config_.end_with) loop_.stop();
  tell_manager("READY=1");
  loop_.run();
  write_metrics_or_tell();
}

// SIGTERM and SIGINT drain; a second one ends at once. SIGHUP reads the configuration again.
void Broker::watch_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) throw StartError("cannot watch signals: " + errno_text());
  loop_.add(signals_.get(), EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      on_signal(info.ssi_signo);
    }
  });
}

void Broker::on_signal(uint32_t number) {
  if (number == SIGHUP) {
    if (serving_ && !draining_) reload();
    return;
  }
  if (draining_ || !serving_) loop_.stop();
  drain();
}

void Broker::reload() {
  if (!reread_) return tell("SIGHUP: nothing to read again: there is no --config FILE");
  tell_manager_reloading();
  try {
    BrokerConfig next = reread_();
    if (next.socket.empty()) next.socket = config_.socket;  // it was passed
    const auto changes = adopt(config_, next);
    for (const auto& line : changes) tell("SIGHUP: " + line);
    if (changes.empty()) tell("SIGHUP: nothing has changed");
  } catch (const StartError& error) {
    tell("SIGHUP: all stays as it is: " + std::string(error.what()));
  }
  tell_manager("READY=1");
}

// Throws StartError.
void Broker::write_metrics() {
  loop_.call_after(kMetricsPeriod, [this] { write_metrics_or_tell(); });
  if (!config_.metrics.empty()) replace_file(config_.metrics, metrics_text(*this));
}

void Broker::write_metrics_or_tell() {
  std::string fault;
  try {
    write_metrics();
  } catch (const StartError& error) {
    fault = error.what();
  }
  if (!fault.empty() && fault != metrics_fault_) tell(fault);
  metrics_fault_ = fault;
}

// A pidfd, not the parent-death signal: that one fires when the starting thread ends.
void Broker::watch_parent(pid_t parent) {
  if (parent == 1 && ::getsid(0) != ::getsid(1)) {  // init took over
    throw StartError("--parent-death: the process that started this one is gone already");
  }
  parent_.reset(static_cast<int>(::syscall(SYS_pidfd_open, parent, 0)));
  if (!parent_) throw StartError("cannot watch the parent process: " + errno_text());
  loop_.add(parent_.get(), EPOLLIN, [this](uint32_t) { loop_.stop(); });
  if (::getppid() != parent) loop_.stop();
}

void Broker::drain() {
  if (!draining_ && listener_) {
    loop_.remove(listener_->fd());
    tell_manager("STOPPING=1");
  }
  draining_ = true;
  scheduler_.pump();
  end_if_drained();
}

void Broker::end_if_drained() {
  if (!draining_) return;
  loop_.defer([this] {
    if (!scheduler_.idle()) return;
    if (all_answered()) return loop_.stop();
    if (!patience_) patience_ = loop_.call_after(kReadPatience, [this] { loop_.stop(); });
  });
}

bool Broker::all_answered() const {
  return std::ranges::all_of(clients_, [](const auto& one) { return one.second->answered(); });
}

}  // namespace azr
