#include "frames.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "end_note.h"

namespace azr {
namespace {

constexpr size_t kHeaderBytes = sizeof(uint64_t);
// Kept free for the records that end a program, so that a flood of results cannot hide them.
constexpr size_t kReserve = 4096;
// More than the words of a request, so more than its cases and what stands around them.
constexpr size_t kMaxRecords = 16384;

struct Head {
  Token token;
  RecordKind kind;
  Verdict verdict;
  uint8_t ours;
  uint8_t zero;
  int32_t line;
  int32_t number;
  uint32_t type_bytes;
  uint32_t message_bytes;
  uint32_t value_bytes;
};

uint64_t body_bytes(const Head& head) {
  return uint64_t{head.type_bytes} + head.message_bytes + head.value_bytes;
}

bool plausible(const Head& head, const Token& token) {
  return head.token == token && head.kind <= RecordKind::kDone &&
         head.verdict < Verdict::kNondeterministic && head.ours <= 1 && head.zero == 0 &&
         head.line >= 0 && head.type_bytes <= kMaxType && head.message_bytes <= kMaxMessage;
}

}  // namespace

RecordWriter::RecordWriter(std::span<char> area, const Token& token)
    : area_(area.first(area.size() - sizeof(EndNote))), token_(token) {}

bool RecordWriter::append(const Record& record) noexcept {
  uint64_t used;
  std::memcpy(&used, area_.data(), sizeof used);
  const Head head{token_,
                  record.kind,
                  record.verdict,
                  record.ours,
                  0,
                  record.line,
                  record.number,
                  static_cast<uint32_t>(record.type.size()),
                  static_cast<uint32_t>(record.message.size()),
                  static_cast<uint32_t>(record.value.size())};
  const bool last = record.kind == RecordKind::kDone;
  const uint64_t limit = area_.size() - kHeaderBytes - (last ? 0 : kReserve);
  const uint64_t size = sizeof head + body_bytes(head);
  if (used > limit || size > limit - used) return false;
  char* at = area_.data() + kHeaderBytes + used;
  std::memcpy(at, &head, sizeof head);
  at += sizeof head;
  for (const auto text : {record.type, record.message, record.value}) {
    at = std::copy(text.begin(), text.end(), at);
  }
  // The length is written last: a child killed half way leaves no half record.
  std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(area_.data())).store(used + size);
  return true;
}

std::optional<std::vector<Record>> read_records(std::span<const char> area, const Token& token) {
  std::vector<Record> records;
  uint64_t used;
  std::memcpy(&used, area.data(), sizeof used);
  if (used > area.size() - kHeaderBytes) return std::nullopt;
  std::string_view rest(area.data() + kHeaderBytes, used);
  while (!rest.empty()) {
    Head head;
    if (rest.size() < sizeof head || records.size() == kMaxRecords) return std::nullopt;
    std::memcpy(&head, rest.data(), sizeof head);
    rest.remove_prefix(sizeof head);
    if (!plausible(head, token) || body_bytes(head) > rest.size()) return std::nullopt;
    Record record{head.kind, head.verdict, head.line, head.number, {}, {}, {}, head.ours == 1};
    for (auto [text, size] : {std::pair{&record.type, head.type_bytes},
                              {&record.message, head.message_bytes},
                              {&record.value, head.value_bytes}}) {
      *text = rest.substr(0, size);
      rest.remove_prefix(size);
    }
    records.push_back(record);
  }
  return records;
}

}  // namespace azr
