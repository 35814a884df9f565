#include "commands/job_reply.h"

namespace azr {
namespace {

constexpr size_t kReplyBytes = 512, kCaseBytes = 128;  // of one with short values

std::optional<int64_t> if_nonzero(int64_t value) {
  return value == 0 ? std::nullopt : std::optional(value);
}

void write_usage(RespWriter& out, const Outcome& outcome) {
  out.field("cpu_us", std::optional(outcome.cpu_us));
  out.field("wall_us", std::optional(outcome.wall_us));
  out.field("max_rss_kib", std::optional(outcome.max_rss_kib));
  out.field("faults", std::optional(outcome.faults));
}

// 9 pairs.
void write_ending(RespWriter& out, Outcome& outcome) {
  out.field("verdict", verdict_name(outcome.verdict));
  out.text_or_null("type", outcome.type);
  out.text_or_null("reason", outcome.reason);
  out.text_or_null("message", outcome.message);
  out.field("line", if_nonzero(outcome.line));
  out.text_or_null("syscall", outcome.syscall);
  out.field("signal", if_nonzero(outcome.signal));
  out.long_field("stdout", std::move(outcome.out));
  out.long_field("stderr", std::move(outcome.err));
}

void write_case(RespWriter& out, CaseResult& result) {
  out.map(6);
  out.field("verdict", verdict_name(result.verdict));
  if (result.value) {
    out.long_field("value", std::move(*result.value));
  } else {
    out.text_or_null("value", "");
  }
  out.text_or_null("type", result.type);
  out.text_or_null("reason", result.reason);
  out.text_or_null("message", result.message);
  out.field("line", if_nonzero(result.line));
}

void write_replicas(RespWriter& out, JobResult& result) {
  out.bulk("replicas");
  if (result.replicas.empty()) return out.null();
  out.array(result.replicas.size());
  for (auto& texts : result.replicas) {
    out.array(texts.size());
    for (std::string& text : texts) out.long_bulk(std::move(text));
  }
}

}  // namespace

Reply job_reply(JobKind kind, JobResult result, int version) {
  RespWriter out(version, kReplyBytes + kCaseBytes * result.outcome.cases.size());
  Outcome& outcome = result.outcome;
  const bool call = kind == JobKind::kCall;
  out.map(call ? 17 : 16);
  write_ending(out, outcome);
  write_usage(out, outcome);
  out.field("tier", tier_name(result.tier));
  out.field("lost_us", std::optional(result.lost_us));
  if (!call) {
    out.field("exit", outcome.exit ? std::optional<int64_t>(*outcome.exit) : std::nullopt);
    return out.take();
  }
  write_replicas(out, result);
  out.bulk("results");
  out.array(outcome.cases.size());
  for (CaseResult& one : outcome.cases) write_case(out, one);
  return out.take();
}

}  // namespace azr
