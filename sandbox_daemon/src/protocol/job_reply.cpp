#include "job_reply.h"

#include "resp_writer.h"

namespace azr {
namespace {

std::optional<int64_t> if_nonzero(int64_t value) {
  return value == 0 ? std::nullopt : std::optional(value);
}

void write_usage(RespWriter& out, const Outcome& outcome) {
  out.field("cpu_us", std::optional(outcome.cpu_us));
  out.field("wall_us", std::optional(outcome.wall_us));
  out.field("max_rss_kib", std::optional(outcome.max_rss_kib));
  out.field("faults", std::optional(outcome.faults));
}

// 8 pairs.
void write_ending(RespWriter& out, const Outcome& outcome) {
  out.field("verdict", verdict_name(outcome.verdict));
  out.text_or_null("type", outcome.type);
  out.text_or_null("message", outcome.message);
  out.field("line", if_nonzero(outcome.line));
  out.text_or_null("syscall", outcome.syscall);
  out.field("signal", if_nonzero(outcome.signal));
  out.field("stdout", std::string_view(outcome.out));
  out.field("stderr", std::string_view(outcome.err));
}

void write_case(RespWriter& out, const CaseResult& result) {
  out.map(5);
  out.field("verdict", verdict_name(result.verdict));
  out.field("value", result.value ? std::optional<std::string_view>(*result.value) : std::nullopt);
  out.text_or_null("type", result.type);
  out.text_or_null("message", result.message);
  out.field("line", if_nonzero(result.line));
}

void write_replicas(RespWriter& out, const JobResult& result) {
  out.bulk("replicas");
  if (result.replicas.empty()) return out.null();
  out.array(result.replicas.size());
  for (const auto& texts : result.replicas) {
    out.array(texts.size());
    for (const auto& text : texts) out.bulk(text);
  }
}

}  // namespace

std::string job_reply(const JobSpec& spec, const JobResult& result, int version) {
  RespWriter out(version);
  const Outcome& outcome = result.outcome;
  const bool call = spec.kind == JobKind::kCall;
  out.map(call ? 15 : 14);
  write_ending(out, outcome);
  write_usage(out, outcome);
  out.field("tier", tier_name(result.tier));
  if (!call) {
    out.field("exit", outcome.exit ? std::optional<int64_t>(*outcome.exit) : std::nullopt);
    return out.take();
  }
  write_replicas(out, result);
  out.bulk("results");
  out.array(outcome.cases.size());
  for (const auto& one : outcome.cases) write_case(out, one);
  return out.take();
}

}  // namespace azr
