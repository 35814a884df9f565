#include "broker/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "broker/broker.h"
#include "shared/error.h"

namespace azr {
namespace {

constexpr std::string_view kPrefix = "azr_sandboxd_";

std::string seconds(uint64_t us) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", static_cast<double>(us) / 1e6);
  return text;
}

class MetricsWriter {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = std::string(kPrefix).append(name);
    out_.append("# HELP ").append(name_).append(" ").append(help).append("\n");
    out_.append("# TYPE ").append(name_).append(" ").append(type).append("\n");
  }
  // One of the family; `end` is what follows its name.
  void sample(std::string_view end, std::string_view value) {
    out_.append(name_).append(end).append(" ").append(value).append("\n");
  }
  void sample(std::string_view end, uint64_t value) { sample(end, std::to_string(value)); }
  void gauge(std::string_view name, std::string_view help, uint64_t value) {
    family(name, "gauge", help);
    sample("", value);
  }
  void counter(std::string_view name, std::string_view help, uint64_t value) {
    family(name, "counter", help);
    sample("", value);
  }
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram);
  std::string take() { return std::move(out_); }

 private:
  std::string name_, out_;
};

void MetricsWriter::histogram(std::string_view name, std::string_view help,
                              const Histogram& histogram) {
  family(name, "histogram", help);
  uint64_t sum = 0;
  for (size_t i = 0; i < kHistogramBounds.size(); ++i) {
    sum += histogram.in_bucket(i);
    sample("_bucket{le=\"" + seconds(kHistogramBounds[i]) + "\"}", sum);
  }
  sample("_bucket{le=\"+Inf\"}", histogram.count());
  sample("_sum", seconds(histogram.sum_us()));
  sample("_count", histogram.count());
}

void write_jobs(MetricsWriter& out, const Broker& broker) {
  out.family("jobs_total", "counter", "Jobs answered, by verdict.");
  for (int i = 0; i < kVerdictCount; ++i) {
    out.sample("{verdict=\"" + std::string(verdict_name(static_cast<Verdict>(i))) + "\"}",
               broker.stats().verdicts[static_cast<size_t>(i)]);
  }
  out.counter("jobs_refused_total", "Jobs refused with -BUSY, beyond max-queued.",
              broker.stats().refused_jobs);
  out.gauge("jobs_waiting", "Jobs that wait for a zygote, once for each tier that they wait for.",
            broker.scheduler().waiting());
  out.gauge("queued_bytes", "Bytes of the jobs not yet answered.", broker.queued_bytes());
  out.gauge("programs_running", "Programs that run.", broker.scheduler().running());
  out.histogram("job_seconds", "Wall time of a job, from its arrival to its reply.",
                broker.stats().job_time);
  out.histogram("queue_seconds", "Time a job waited for its first zygote.",
                broker.stats().queue_time);
  out.histogram("lost_seconds", "Time a job that moved on spent in tiers that could not serve it.",
                broker.stats().lost_time);
  out.histogram("turn_seconds", "Turns of the daemon's loop: what other clients wait for.",
                broker.stats().turn_time);
}

void write_clients(MetricsWriter& out, const Broker& broker) {
  const Stats& stats = broker.stats();
  out.gauge("clients", "Connected clients.", broker.clients());
  out.counter("connections_total", "Connections accepted, the refused ones included.",
              stats.connections);
  out.family("connections_refused_total", "counter", "Connections refused, by reason.");
  out.sample("{reason=\"permission\"}", stats.refused_peers);
  out.sample("{reason=\"max_clients\"}", stats.refused_clients);
  out.counter("commands_total", "Commands read.", stats.commands);
}

void write_zygotes(MetricsWriter& out, const Broker& broker) {
  uint64_t restarts = 0, alive = 0;
  for (const auto& zygote : broker.zygotes()) {
    restarts += zygote->restarts();
    alive += zygote->alive() ? 1 : 0;
  }
  out.gauge("zygotes", "Zygotes that live.", alive);
  out.counter("zygote_restarts_total", "Zygotes that were replaced.", restarts);
}

}  // namespace

std::string metrics_text(const Broker& broker) {
  MetricsWriter out;
  out.family("info", "gauge", "The daemon and its level of isolation.");
  out.sample("{version=\"" AZR_VERSION "\",level=\"" +
                 std::string(level_name(level_of(broker.layers()))) + "\"}",
             1);
  const auto up =
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - broker.stats().started);
  out.gauge("uptime_seconds", "Since the start of the daemon.", static_cast<uint64_t>(up.count()));
  write_clients(out, broker);
  write_jobs(out, broker);
  write_zygotes(out, broker);
  return out.take();
}

void replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".tmp";
  UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  const bool written =
      fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0) {
    throw StartError("--metrics: cannot write " + path + " (" + errno_text() +
                     "): make its folder, writable for the daemon");
  }
}

}  // namespace azr
