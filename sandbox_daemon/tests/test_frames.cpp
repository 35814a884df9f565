// Records of results: written by a child that may be killed or hostile, judged by the broker.
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <random>

#include "records.h"
#include "region.h"
#include "request.h"

namespace {

using namespace azr;

void round_trip() {
  Area area;
  EXPECT(area.writer.append({RecordKind::kLoad, Verdict::kError, 7, 0, "ValueError", "why", "v"}));
  EXPECT(area.writer.append(kDone));
  const auto records = read_records(area.bytes, kToken);
  EXPECT(records && records->size() == 2);
  const Record& first = records->front();
  EXPECT(first.verdict == Verdict::kError && first.line == 7 && first.type == "ValueError");
  EXPECT(first.message == "why" && first.value == "v");
}

void ok_needs_everything() {
  Area area;
  area.writer.append(kLoaded);
  area.writer.append(value("1"));
  EXPECT(area.judged().verdict == Verdict::kCrash);  // exit status 0, but not done
  EXPECT(area.judged().cases.size() == 1);
  area.writer.append(value("2"));
  area.writer.append(kDone);
  EXPECT(area.judged().verdict == Verdict::kOk);
  EXPECT(area.judged(1 << 8).verdict == Verdict::kCrash);  // done, but a strange exit status
  EXPECT(area.judged(SIGSEGV).verdict == Verdict::kCrash);
  EXPECT(area.judged(SIGSEGV).signal == SIGSEGV);
  for (const int odd : {0xff, 0x80}) EXPECT(area.judged(odd).verdict == Verdict::kCrash);
  EXPECT(area.judged(SIGKILL, KillReason::kWall).verdict == Verdict::kTimeout);
  EXPECT(area.judged(SIGKILL, KillReason::kOutput).verdict == Verdict::kOutput);
}

void out_of_order() {
  const Record extra[] = {value("3"), kLoaded, kDone};
  for (const Record& record : extra) {
    Area area;
    for (const Record& before : {kLoaded, value("1"), value("2")}) area.writer.append(before);
    if (record.kind == RecordKind::kDone) area.writer.append(kDone);
    area.writer.append(record);
    area.writer.append(kDone);
    EXPECT(area.judged().verdict == Verdict::kCrash);
    EXPECT(area.judged().cases.empty());
  }
}

void forged() {
  Area area;
  area.writer.append(kLoaded);
  area.writer.append(kDone);
  EXPECT(!read_records(area.bytes, Token{9}));  // another job's token
  for (const uint64_t used : {uint64_t{1}, uint64_t{65536}, ~uint64_t{0}}) {
    std::memcpy(area.bytes.data(), &used, sizeof used);
    EXPECT(!read_records(area.bytes, kToken));
  }
}

Outcome judged(const Asked& asked, std::initializer_list<Record> records) {
  Area area;
  area.asked = asked;
  for (const Record& record : records) EXPECT(area.writer.append(record));
  return area.judged();
}

bool damaged(const Asked& asked, std::initializer_list<Record> records) {
  const Outcome outcome = judged(asked, records);
  return outcome.verdict == Verdict::kCrash && outcome.cases.empty() &&
         outcome.message == "its records are damaged" && outcome.faults == 7;
}

// "Done" with less than was asked for, or with what nobody asked for.
void incomplete() {
  const Asked call{JobKind::kCall, 2, Limits{}}, run{JobKind::kRun, 0, Limits{}};
  const Record failed{RecordKind::kLoad, Verdict::kMemory, 0, 0, "MemoryError", {}, {}};
  const Record exit{RecordKind::kExit, Verdict::kOk, 0, 0, {}, {}, {}};
  const Record odd_exit{RecordKind::kExit, Verdict::kOk, 0, 3, {}, {}, {}};
  EXPECT(damaged(call, {kDone}));
  EXPECT(damaged(call, {kLoaded, kDone}));
  EXPECT(damaged(call, {kLoaded, value("1"), kDone}));
  EXPECT(damaged(call, {exit, kDone}));
  EXPECT(damaged(call, {kLoaded, value("1"), value("2"), exit, kDone}));
  EXPECT(damaged(call, {failed, failed, kDone}));
  EXPECT(damaged(call, {failed, value("1"), kDone}));
  EXPECT(judged(call, {failed, kDone}).verdict == Verdict::kMemory);
  EXPECT(damaged(run, {kDone}));
  EXPECT(damaged(run, {kLoaded, kDone}));
  EXPECT(damaged(run, {exit, exit, kDone}));
  EXPECT(damaged(run, {failed, exit, kDone}));
  EXPECT(damaged(run, {exit, failed, kDone}));
  EXPECT(damaged(run, {odd_exit, kDone}));
  EXPECT(judged(run, {exit, kDone}).verdict == Verdict::kOk);
  EXPECT(judged(run, {failed, kDone}).verdict == Verdict::kMemory);
}

// What the child's own code would never write, whatever its records say about limits.
void oversized() {
  Asked call{JobKind::kCall, 2, Limits{}};
  const std::string long_type(kMaxType + 1, 't'), long_message(kMaxMessage + 1, 'm');
  const auto load = [](std::string_view type, std::string_view message) {
    return Record{RecordKind::kLoad, Verdict::kError, 0, 0, type, message, {}};
  };
  EXPECT(damaged(call, {load(long_type, ""), kDone}));
  EXPECT(damaged(call, {load("", long_message), kDone}));
  EXPECT(!damaged(call, {load(long_type.substr(1), long_message.substr(1)), kDone}));
  call.limits.values = 10;
  EXPECT(damaged(call, {kLoaded, value("123456"), value("12345"), kDone}));
  EXPECT(judged(call, {kLoaded, value("12345"), value("12345"), kDone}).verdict == Verdict::kOk);
}

void flood_of_records() {
  std::vector<char> bytes(4u << 20);
  RecordWriter writer(bytes, kToken);
  while (writer.append(kLoaded)) {
  }
  EXPECT(!read_records(bytes, kToken));
}

void random_damage() {
  std::mt19937 random(3);
  for (int round = 0; round < 20000; ++round) {
    Area area;
    area.bytes.resize(8192);
    area.writer = RecordWriter(area.bytes, kToken);
    area.writer.append(kLoaded);
    area.writer.append(value("[1, 2, 3]"));
    area.writer.append(value("4"));
    area.writer.append(kDone);
    for (int i = 0; i < 3; ++i) area.bytes[random() % 240] = static_cast<char>(random());
    const Outcome outcome = area.judged();
    EXPECT(outcome.cases.size() <= 2);
    EXPECT(outcome.verdict != Verdict::kOk || outcome.cases.size() == 2);
    for (const CaseResult& result : outcome.cases) {
      EXPECT((result.verdict == Verdict::kOk) == result.value.has_value());
    }
  }
}

void full_area() {
  std::vector<char> bytes(16384);
  RecordWriter writer(bytes, kToken);
  EXPECT(!writer.append(value(std::string(16384, 'x'))));
  while (writer.append(value(std::string(1000, 'x')))) {
  }
  EXPECT(writer.append(kDone));  // room is kept for the end
  EXPECT(read_records(bytes, kToken).has_value());
}

void requests() {
  const Request request{"program", "f", {"1, 2", ""}};
  std::string bytes(request_bytes(request), '\0');
  EXPECT(write_request(request, bytes) == bytes.size());
  const auto read = read_request(bytes);
  EXPECT(read && read->program == "program" && read->entry == "f");
  EXPECT(read && read->arguments == request.arguments);
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    const auto part = read_request(std::string_view(bytes).substr(0, cut));
    EXPECT(!part || part->arguments.size() < 2);
  }
}

void expect_cleared(const Region& region, int fd, std::initializer_list<size_t> places) {
  for (const auto& area : {region.input(), region.output()}) {
    for (const size_t at : places) area[at] = 'x';
  }
  EXPECT(region.clear(fd));
  for (const auto& area : {region.input(), region.output()}) {
    for (const size_t at : places) EXPECT(area[at] == 0);
  }
}

// Whatever a program wrote anywhere in the shared memory, the next one finds zeros.
void region_is_cleared() {
  const UniqueFd fd = Region::create();
  const Region region(fd.get());
  EXPECT(fd && region.valid());
  const size_t input_end = region.input().size() - 1;
  for (int again = 0; again < 2; ++again) {
    expect_cleared(region, fd.get(), {0, 100});                   // pages that are kept
    expect_cleared(region, fd.get(), {0, 4096, 16384, 1 << 20});  // and others
    expect_cleared(region, fd.get(), {input_end});
  }
  EXPECT(::ftruncate(fd.get(), 0) != 0);  // and cannot take it away under the broker
}

// As many pages as ever, but other ones.
void region_is_cleared_though_pages_were_exchanged() {
  const UniqueFd fd = Region::create();
  const Region region(fd.get());
  expect_cleared(region, fd.get(), {0});
  EXPECT(::madvise(region.input().data(), 4096, MADV_REMOVE) == 0);
  expect_cleared(region, fd.get(), {1 << 20});
  EXPECT(::madvise(region.output().data(), 4096, MADV_REMOVE) == 0);
  expect_cleared(region, fd.get(), {16384});
}

}  // namespace

int main() {
  region_is_cleared();
  region_is_cleared_though_pages_were_exchanged();
  round_trip();
  ok_needs_everything();
  out_of_order();
  forged();
  incomplete();
  oversized();
  flood_of_records();
  random_damage();
  full_area();
  requests();
  return test_result();
}
