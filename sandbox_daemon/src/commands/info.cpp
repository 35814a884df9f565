#include "commands/info.h"

#include <unistd.h>

#include "broker/broker.h"
#include "commands/call_command.h"

namespace azr {
namespace {

void line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(":").append(value).append("\r\n");
}

void line(std::string& out, std::string_view name, uint64_t value) {
  line(out, name, std::to_string(value));
}

std::string server_section(const Broker& broker) {
  std::string out = "# Server\r\n";
  const auto up = Clock::now() - broker.stats().started;
  line(out, "server", "azr-sandboxd");
  line(out, "version", AZR_VERSION);
  line(out, "process_id", static_cast<uint64_t>(::getpid()));
  line(out, "uptime_in_seconds",
       static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(up).count()));
  line(out, "socket", broker.config().socket);
  line(out, "preload", broker.config().pool.preload);
  return out;
}

std::string security_section(const Broker& broker) {
  std::string out = "# Security\r\n";
  const Layers layers = broker.layers();
  line(out, "level", level_name(level_of(layers)));
  line(out, "require", level_name(broker.config().require));
  for (const auto& layer : layers) {
    line(out, layer.name, (layer.on ? "on (" : "off (") + layer.why + ")");
  }
  return out;
}

std::string clients_section(const Broker& broker) {
  std::string out = "# Clients\r\n";
  const ClientLimits& limits = broker.config().clients;
  line(out, "connected_clients", broker.clients());
  line(out, "maxclients", limits.max_clients);
  line(out, "max_pending", limits.max_pending);
  line(out, "max_unread", limits.max_unread);
  return out;
}

std::string zygotes_section(const Broker& broker) {
  std::string out = "# Zygotes\r\n";
  line(out, "zygotes", broker.zygotes().size());
  for (size_t i = 0; i < broker.zygotes().size(); ++i) {
    const Zygote& zygote = *broker.zygotes()[i];
    const PoolConfig& pool = broker.pools()[broker.scheduler().pool_of(i)];
    line(out, "zygote" + std::to_string(i),
         "pool=" + pool.name + ",tier=" + std::string(tier_name(pool.tier)) +
             ",pid=" + std::to_string(zygote.pid()) + ",state=" + std::string(zygote.state_name()) +
             ",programs=" + std::to_string(zygote.programs()) +
             ",restarts=" + std::to_string(zygote.restarts()));
  }
  return out;
}

std::string stats_section(const Broker& broker) {
  std::string out = "# Stats\r\n";
  line(out, "total_connections_received", broker.stats().connections);
  line(out, "rejected_connections", broker.stats().refused_clients);
  line(out, "refused_peers", broker.stats().refused_peers);
  line(out, "total_commands_processed", broker.stats().commands);
  line(out, "jobs_refused", broker.stats().refused_jobs);
  line(out, "jobs_waiting", broker.scheduler().waiting());
  line(out, "queued_bytes", broker.queued_bytes());
  line(out, "programs_running", broker.scheduler().running());
  for (int i = 0; i < kVerdictCount; ++i) {
    line(out, "verdict_" + std::string(verdict_name(static_cast<Verdict>(i))),
         broker.stats().verdicts[static_cast<size_t>(i)]);
  }
  return out;
}

std::string rewind_section(const Broker& broker) {
  std::string out = "# Rewind\r\n";
  uint64_t elsewhere = 0;
  for (const auto& [what, count] : broker.stats().unserved) elsewhere += count;
  line(out, "rewound_jobs", broker.stats().rewound);
  line(out, "fell_back", elsewhere);
  for (const auto& [what, count] : broker.stats().unserved) line(out, "fell_back_" + what, count);
  return out;
}

std::string bucket_name(size_t bucket) {
  if (bucket == kHistogramBounds.size()) return "inf";
  return std::to_string(kHistogramBounds[bucket]);
}

// The count of each bucket that has any, by the largest duration in it.
void bucket_lines(std::string& out, const std::string& name, const Histogram& histogram) {
  std::string counts;
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    if (histogram.in_bucket(i) == 0) continue;
    if (!counts.empty()) counts += ",";
    counts += "le_" + bucket_name(i) + "=" + std::to_string(histogram.in_bucket(i));
  }
  line(out, name + "_buckets", counts);
}

void histogram_lines(std::string& out, const std::string& name, const Histogram& histogram) {
  std::string summary = "count=" + std::to_string(histogram.count());
  for (const auto& [percent, share] : {std::pair{"50", 0.5}, {"90", 0.9}, {"99", 0.99}}) {
    summary += std::string(",p") + percent + "=" + std::to_string(histogram.quantile_us(share));
  }
  line(out, name, summary + ",max=" + std::to_string(histogram.max_us()));
  bucket_lines(out, name, histogram);
}

std::string latency_section(const Broker& broker) {
  std::string out = "# Latency\r\n";
  histogram_lines(out, "job_us", broker.stats().job_time);
  histogram_lines(out, "queue_us", broker.stats().queue_time);
  histogram_lines(out, "lost_us", broker.stats().lost_time);
  histogram_lines(out, "turn_us", broker.stats().turn_time);
  return out;
}

constexpr std::pair<std::string_view, std::string (*)(const Broker&)> kSections[] = {
    {"SERVER", server_section},   {"SECURITY", security_section}, {"CLIENTS", clients_section},
    {"ZYGOTES", zygotes_section}, {"STATS", stats_section},       {"REWIND", rewind_section},
    {"LATENCY", latency_section},
};

}  // namespace

std::string info_text(const Broker& broker, std::string_view section) {
  const std::string wanted = upper(section);
  const bool every = section.empty() || wanted == "ALL" || wanted == "DEFAULT";
  std::string out;
  for (const auto& [name, write] : kSections) {
    if (!every && wanted != name) continue;
    if (!out.empty()) out += "\r\n";
    out += write(broker);
  }
  return out;
}

}  // namespace azr
