#include "broker.h"

#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "check.h"
#include "commands.h"
#include "error.h"
#include "job_reply.h"
#include "resp_writer.h"

namespace azr {
namespace {

constexpr size_t kMaxClients = 256;
constexpr Milliseconds kReadPatience{5'000};  // for clients to read the last replies

uint32_t random_seed() {
  uint32_t seed = 0;
  while (::getrandom(&seed, sizeof seed, 0) != sizeof seed) {
  }
  return seed;
}

}  // namespace

Broker::Broker(BrokerConfig config)
    : config_(std::move(config)), scheduler_(loop_), cgroup_(probe_cgroup()) {
  // What a client does not read must not fill the memory that all share.
  scheduler_.begin_only_if([this](uint64_t id) {
    const auto found = clients_.find(id);
    return draining_ || found == clients_.end() || !found->second->behind();
  });
}

Broker::~Broker() = default;

Layers Broker::layers() const {
  Layers layers;
  for (const auto& zygote : zygotes_) layers = weaker_of(std::move(layers), zygote->layers());
  layers.push_back(cgroup_);
  return layers;
}

void Broker::start_zygote(unsigned slot) {
  Zygote::Events events{[this] { on_zygote_ready(); }, [this] { on_zygote_idle(); },
                        [this](const std::string& why) { on_zygote_failed(why); }};
  const SpawnConfig config{config_.zygote_executable, config_.preload, random_seed(), slot,
                           config_.require};
  zygotes_.push_back(std::make_unique<Zygote>(loop_, config, std::move(events)));
  zygotes_.back()->spawn();
  scheduler_.add_worker(*zygotes_.back());
}

void Broker::start_zygotes() {
  for (unsigned slot = 0; slot < config_.zygotes; ++slot) start_zygote(slot);
  while (ready_ < config_.zygotes && failure_.empty()) {
    loop_.run_once();
    if (loop_.stopped()) failure_ = "told to stop before it was ready";
  }
  if (!failure_.empty()) throw StartError(failure_);
}

void Broker::on_zygote_ready() {
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
  std::fprintf(stderr, "azr-sandboxd: isolation is %s only: see --check\n",
               std::string(level_name(level)).c_str());
}

void Broker::on_zygote_failed(const std::string& why) {
  if (!serving_) {
    failure_ = why;
  } else {
    std::fprintf(stderr, "azr-sandboxd: a zygote could not be replaced: %s\n", why.c_str());
    // Nobody is left to answer what waits.
    if (draining_ && std::ranges::none_of(zygotes_, &Zygote::alive)) loop_.stop();
    end_if_drained();
  }
}

Layers Broker::check() {
  config_.zygotes = 1;
  config_.require = Level::kNone;  // what there is, whatever it is
  start_zygotes();
  return layers();
}

void Broker::serve() {
  listener_ = std::make_unique<Listener>(config_.socket, config_.end_with.has_value());
  watch_signals();
  if (config_.end_with) watch_parent(*config_.end_with);
  start_zygotes();
  tell_level();
  serving_ = true;
  loop_.add(listener_->fd(), EPOLLIN, [this](uint32_t) { accept_clients(); });
  std::printf("ready %s\n", config_.socket.c_str());
  // A parent that is gone before it was known who it was has closed its end of the pipe.
  if (std::fflush(stdout) != 0 && config_.end_with) loop_.stop();
  loop_.run();
}

// SIGTERM and SIGINT drain; a second one ends at once.
void Broker::watch_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) throw StartError("cannot watch signals: " + errno_text());
  loop_.add(signals_.get(), EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (draining_ || !serving_) loop_.stop();
      drain();
    }
  });
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

void Broker::accept_clients() {
  while (UniqueFd socket = listener_->accept()) {
    ++stats_.connections;
    if (clients_.size() >= kMaxClients) continue;  // closed at once
    const uint64_t id = next_client_++;
    Client::Events events{
        [this](Client& client, Command command) { on_command(client, std::move(command)); },
        [this](Client& client) {
          loop_.defer([this, id = client.id()] {
            scheduler_.drop_client(id);
            clients_.erase(id);
            end_if_drained();
          });
        },
        [this] { end_if_drained(); }, [this] { scheduler_.pump(); }};
    clients_[id] = std::make_unique<Client>(loop_, std::move(socket), id, std::move(events));
  }
}

void Broker::on_command(Client& client, Command command) {
  ++stats_.commands;
  run_command(*this, client, command);
}

void Broker::submit(Client& client, JobSpec spec) {
  if (draining_) {
    RespWriter out(client.version);
    out.error("ERR the daemon is shutting down");
    return client.reply(out.take());
  }
  auto deliver = [this, id = client.id(), slot = client.reserve(), version = client.version](
                     const JobSpec& done, JobResult result) {
    ++stats_.verdicts[static_cast<size_t>(result.outcome.verdict)];
    const auto found = clients_.find(id);
    if (found != clients_.end()) found->second->fill(slot, job_reply(done, result, version));
    end_if_drained();  // the client may have left unanswered
  };
  scheduler_.submit(std::make_shared<Job>(std::move(spec), client.id(), std::move(deliver)));
}

void Broker::drain() {
  if (!draining_ && listener_) loop_.remove(listener_->fd());
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
