// The daemon: clients on one side, zygotes on the other, one loop between them.
#pragma once

#include <sys/types.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker_config.h"
#include "broker/client.h"
#include "broker/event_loop.h"
#include "broker/histogram.h"
#include "broker/listener.h"
#include "broker/refusals.h"
#include "broker/scheduler.h"
#include "broker/zygote.h"
#include "shared/layers.h"

namespace azr {

struct Stats {
  TimePoint started = Clock::now();
  uint64_t connections = 0;
  uint64_t refused_peers = 0, refused_clients = 0;  // of connections
  uint64_t commands = 0;
  uint64_t refused_jobs = 0;
  std::array<uint64_t, kVerdictCount> verdicts{};
  uint64_t rewound = 0;                      // jobs that rewind zygotes served
  std::map<std::string, uint64_t> unserved;  // by what they asked for; others served these
  Histogram job_time;                        // from a job's arrival to its reply
  Histogram queue_time;                      // of these, until its first zygote
  Histogram lost_time;                       // of jobs that fell back, before they did
  Histogram turn_time;  // of the loop: how long an event may have waited for another's handler
};

class Broker;

// The commands of clients, of which the broker itself knows nothing.
struct CommandSet {
  RequestBounds (*bounds)(std::string_view name);  // of a request, by its first word
  void (*run)(Broker& broker, Client& client, Command command);
};

class Broker {
 public:
  // `reread` gives the configuration anew, on SIGHUP; it may throw StartError.
  using Reread = std::function<BrokerConfig()>;
  Broker(BrokerConfig config, CommandSet commands, Reread reread = nullptr);
  ~Broker();

  // Serves until told to stop; returns when drained. Throws StartError when it cannot begin.
  void serve();
  // Starts one zygote, without a socket, and returns its layers. Throws StartError.
  Layers check();

  // For commands.
  using Answer = Reply (*)(JobKind kind, JobResult result, int version);
  void submit(Client& client, JobSpec spec, Answer answer);
  void drain();  // no new work; ends when the rest is answered
  const BrokerConfig& config() const { return config_; }
  const Stats& stats() const { return stats_; }
  const Scheduler& scheduler() const { return scheduler_; }
  const std::vector<std::unique_ptr<Zygote>>& zygotes() const { return zygotes_; }
  const std::vector<PoolConfig>& pools() const { return pools_; }
  size_t clients() const { return clients_.size(); }
  uint64_t queued_bytes() const { return queued_bytes_; }
  Layers layers() const;  // of the weakest zygote, layer by layer, and what the broker adds

 private:
  void start_zygotes();
  void start_zygote(size_t pool, unsigned core);
  void on_zygote_ready(size_t pool);
  void on_zygote_idle();
  void on_zygote_failed(size_t pool, const std::string& why);
  bool is_optional(Tier tier) const;
  void listen();
  void watch_signals();
  void on_signal(uint32_t number);
  void reload();
  void write_metrics();
  void write_metrics_or_tell();
  void watch_parent(pid_t parent);
  void accept_clients();
  void add_client(UniqueFd socket);
  void count(const JobResult& result, TimePoint arrival);
  void refuse_job(Client& client);
  void on_command(Client& client, Command command);
  void on_closed(uint64_t id);
  void end_if_drained();
  bool all_answered() const;
  void tell_level();

  BrokerConfig config_;
  CommandSet commands_;
  Reread reread_;
  std::vector<PoolConfig> pools_;
  uint64_t queued_bytes_ = 0;  // outlives the jobs
  EventLoop loop_;
  Scheduler scheduler_;
  std::unique_ptr<Listener> listener_;
  Refusals refusals_;
  std::vector<std::unique_ptr<Zygote>> zygotes_;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;
  UniqueFd signals_, parent_;
  Stats stats_;
  uint64_t next_client_ = 1;
  size_t ready_ = 0;
  bool serving_ = false, draining_ = false;
  std::optional<EventLoop::TimerId> patience_;  // with clients that do not read, while draining
  Level told_level_ = Level::kNamespaces;       // below it a person is told
  std::string metrics_fault_;                   // what a person was told last
  std::string failure_;
  std::string no_rewind_, no_jail_;  // why there are none
};

}  // namespace azr
