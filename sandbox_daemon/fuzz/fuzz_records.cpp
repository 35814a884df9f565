// The records of a hostile child, and the judgement from them. The input is a list of steps:
// records as the child's own code writes them, in any order and of any size, and damage to their
// bytes. So the corpus outlives changes of the records' layout.
#include <algorithm>
#include <cstring>
#include <memory>

#include "broker/outcome.h"
#include "frames.h"
#include "fuzz.h"

namespace {

using namespace azr;

constexpr Token kToken = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr size_t kArea = 16384;

// As much as the region's output area, of which only some is of interest.
struct Area {
  std::unique_ptr<char[]> bytes = std::make_unique<char[]>(kArea);
  std::span<char> span() const { return {bytes.get(), kArea}; }
};

void append_record(fuzz::Decisions& input, RecordWriter& writer) {
  static const std::string kText(4096, 'x');
  const auto text = [&] { return std::string_view(kText).substr(0, input.number(2) % 4096); };
  Record record;
  record.kind = static_cast<RecordKind>(input.byte() % 4);
  record.verdict = static_cast<Verdict>(input.byte() % 9);
  record.line = static_cast<int32_t>(input.number(2)) - 1;
  record.number = static_cast<int32_t>(input.number(2)) - 1;
  record.type = text();
  record.message = text();
  record.value = text();
  record.ours = input.byte() % 2 == 1;
  writer.append(record);
}

void damage(fuzz::Decisions& input, const Area& area) {
  const size_t at = input.number(2) % kArea;
  const auto bytes = input.text(1 + input.byte() % 8);
  std::copy_n(bytes.begin(), std::min(bytes.size(), kArea - at), area.bytes.get() + at);
}

void fill(fuzz::Decisions& input, const Area& area) {
  RecordWriter writer(area.span(), kToken);
  while (!input.empty()) {
    if (input.byte() % 4 != 0) {
      append_record(input, writer);
    } else {
      damage(input, area);
    }
  }
}

// Records that were accepted, written once more, are the same bytes: nothing is hidden in them.
void nothing_else_is_in(const Area& area, const std::vector<Record>& records) {
  const Area again;
  RecordWriter writer(again.span(), kToken);
  for (const Record& record : records) {
    if (!writer.append(record)) return;  // too much for a child: it keeps some room free
  }
  uint64_t used;
  std::memcpy(&used, again.bytes.get(), sizeof used);
  HOLDS(std::memcmp(again.bytes.get(), area.bytes.get(), sizeof used + used) == 0);
}

void is_sane(const Outcome& outcome, const Asked& asked) {
  uint64_t values = 0;
  HOLDS(outcome.cases.size() <= asked.cases);
  HOLDS(outcome.type.size() <= kMaxType && outcome.message.size() <= kMaxMessage);
  for (const CaseResult& one : outcome.cases) {
    values += one.value ? one.value->size() : 0;
    HOLDS(one.value.has_value() == (one.verdict == Verdict::kOk));
    HOLDS(one.type.size() <= kMaxType && one.message.size() <= kMaxMessage);
  }
  HOLDS(values <= asked.limits.values);
}

void ok_is_earned(const Outcome& outcome, const Asked& asked, const Ending& ending) {
  if (outcome.verdict != Verdict::kOk) return;
  HOLDS(!ending.zygote_died && ending.killed == KillReason::kNone);
  HOLDS(ending.report.wait_status == 0);
  HOLDS(asked.kind == JobKind::kRun || (outcome.loaded && outcome.cases.size() == asked.cases));
  HOLDS(asked.kind == JobKind::kCall || outcome.exit == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Decisions input(data, size);
  Asked asked{input.byte() % 2 == 0 ? JobKind::kCall : JobKind::kRun, input.byte(), {}};
  asked.limits.values = input.number(2);
  Ending ending;
  ending.killed = static_cast<KillReason>(input.byte() % 5);
  ending.report.wait_status = static_cast<int>(input.number(2));
  ending.zygote_died = input.byte() % 2 == 1;
  const Area area;
  fill(input, area);
  if (const auto records = read_records(area.span(), kToken)) nothing_else_is_in(area, *records);
  const Outcome outcome = judge(asked, ending, area.span(), kToken);
  is_sane(outcome, asked);
  ok_is_earned(outcome, asked, ending);
  return 0;
}
