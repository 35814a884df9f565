// The broker's side of its clients: connections taken and refused, jobs taken and answered.
#include <algorithm>

#include "broker/broker.h"
#include "broker/held_bytes.h"
#include "resp/resp_writer.h"

namespace azr {
namespace {

constexpr uint64_t kTaskBytes = 512;  // of memory for each task of a job
constexpr int kMostAccepts = 64;      // in one turn of the loop
// Judging more of them takes a turn, and the reply is made in the next.
constexpr size_t kManyCases = 1000;

// What a job that waits holds of the daemon's memory.
uint64_t held_by(const JobSpec& spec) {
  uint64_t bytes = sizeof spec + spec.program.size() + spec.entry.size() + spec.stdin_data.size();
  bytes += kTaskBytes * spec.tasks();
  for (const auto& text : spec.arguments) bytes += sizeof text + text.size();
  return bytes;
}

Reply refusal(int version, const std::string& error) {
  RespWriter out(version);
  out.error(error);
  return out.take();
}

}  // namespace

void Broker::accept_clients() {
  for (int i = 0; i < kMostAccepts; ++i) {
    UniqueFd socket = listener_->accept();
    if (!socket) return;
    ++stats_.connections;
    if (!listener_->admits(socket)) {
      ++stats_.refused_peers;
      refusals_.refuse(
          std::move(socket),
          "NOPERM only the daemon's user, root and members of its --group may connect");
    } else if (clients_.size() >= config_.clients.max_clients) {
      ++stats_.refused_clients;
      refusals_.refuse(std::move(socket), "ERR max number of clients reached");
    } else {
      add_client(std::move(socket));
    }
  }
}

void Broker::add_client(UniqueFd socket) {
  const uint64_t id = next_client_++;
  Client::Events events{
      commands_.bounds,
      [this](Client& client, Command command) { on_command(client, std::move(command)); },
      [this](Client& client) { refuse_job(client); },
      [this](Client& client) { on_closed(client.id()); },
      [this] { end_if_drained(); },
      [this] { scheduler_.pump(); }};
  clients_[id] = std::make_unique<Client>(loop_, std::move(socket), id, config_.clients,
                                          queued_bytes_, std::move(events));
}

void Broker::on_command(Client& client, Command command) {
  ++stats_.commands;
  commands_.run(*this, client, std::move(command));
}

void Broker::on_closed(uint64_t id) {
  loop_.defer([this, id] {
    scheduler_.drop_client(id);
    clients_.erase(id);
    end_if_drained();
  });
}

void Broker::refuse_job(Client& client) {
  ++stats_.refused_jobs;
  client.reply(refusal(client.version,
                       "BUSY jobs not yet answered hold " + std::to_string(queued_bytes_) +
                           " bytes and --max-queued allows " +
                           std::to_string(config_.clients.max_queued) + ": try again later"));
}

void Broker::submit(Client& client, JobSpec spec, Answer answer) {
  if (draining_) {
    return client.reply(refusal(client.version, "ERR the daemon is shutting down"));
  }
  const uint64_t bytes = held_by(spec);
  if (queued_bytes_ + bytes > config_.clients.max_queued) return refuse_job(client);
  if (!spec.not_rewound.empty()) ++stats_.unserved[std::string(spec.not_rewound)];
  auto deliver = [this, answer, id = client.id(), slot = client.reserve(), version = client.version,
                  arrival = Clock::now(),
                  held = HeldBytes(queued_bytes_, bytes)](const JobSpec& done, JobResult result) {
    count(result, arrival);
    const bool many = result.outcome.cases.size() > kManyCases;
    auto fill = [this, answer, id, slot, version, held, kind = done.kind,
                 result = std::move(result)]() mutable {
      const auto found = clients_.find(id);
      if (found != clients_.end()) {
        found->second->fill(slot, answer(kind, std::move(result), version));
      }
      end_if_drained();  // the client may have left unanswered
    };
    many ? loop_.soon(std::move(fill)) : fill();
  };
  scheduler_.submit(std::make_shared<Job>(std::move(spec), client.id(), std::move(deliver)));
}

void Broker::count(const JobResult& result, TimePoint arrival) {
  using std::chrono::microseconds;
  ++stats_.verdicts[static_cast<size_t>(result.outcome.verdict)];
  if (result.tier == Tier::kRewind) ++stats_.rewound;
  const auto taken = Clock::now() - arrival;
  stats_.job_time.add(taken);
  stats_.queue_time.add(taken - microseconds(result.outcome.wall_us));
  if (result.lost_us > 0) stats_.lost_time.add(microseconds(result.lost_us));
}

}  // namespace azr
