// The daemon: clients on one side, zygotes on the other, one loop between them.
#pragma once

#include <sys/types.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client.h"
#include "event_loop.h"
#include "layers.h"
#include "listener.h"
#include "program_limits.h"
#include "scheduler.h"
#include "zygote.h"

namespace azr {

struct BrokerConfig {
  std::string socket;
  std::string zygote_executable;
  std::string preload;
  size_t zygotes = 2;
  Level require = Level::kSeccomp;
  Limits limits;                  // of jobs that name none
  std::optional<pid_t> end_with;  // the process that started this one
};

struct Stats {
  TimePoint started = Clock::now();
  uint64_t connections = 0;
  uint64_t commands = 0;
  std::array<uint64_t, kVerdictCount> verdicts{};
};

class Broker {
 public:
  explicit Broker(BrokerConfig config);
  ~Broker();

  // Serves until told to stop; returns when drained. Throws StartError when it cannot begin.
  void serve();
  // Starts one zygote, without a socket, and returns its layers. Throws StartError.
  Layers check();

  // For commands.
  void submit(Client& client, JobSpec spec);
  void drain();  // no new work; ends when the rest is answered
  const BrokerConfig& config() const { return config_; }
  const Stats& stats() const { return stats_; }
  const Scheduler& scheduler() const { return scheduler_; }
  const std::vector<std::unique_ptr<Zygote>>& zygotes() const { return zygotes_; }
  size_t clients() const { return clients_.size(); }
  Layers layers() const;  // of the weakest zygote, layer by layer, and what the broker adds

 private:
  void start_zygotes();
  void start_zygote(unsigned slot);
  void on_zygote_ready();
  void on_zygote_idle();
  void on_zygote_failed(const std::string& why);
  void listen();
  void watch_signals();
  void watch_parent(pid_t parent);
  void accept_clients();
  void on_command(Client& client, Command command);
  void end_if_drained();
  bool all_answered() const;
  void tell_level();

  BrokerConfig config_;
  EventLoop loop_;
  Scheduler scheduler_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Zygote>> zygotes_;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;
  UniqueFd signals_, parent_;
  Stats stats_;
  uint64_t next_client_ = 1;
  size_t ready_ = 0;
  bool serving_ = false, draining_ = false;
  std::optional<EventLoop::TimerId> patience_;  // with clients that do not read, while draining
  Level told_level_ = Level::kNamespaces;       // below it a person is told
  Layer cgroup_;
  std::string failure_;
};

}  // namespace azr
