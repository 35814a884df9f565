#include "request.h"

#include <cassert>
#include <cstdint>
#include <cstring>

namespace azr {
namespace {

std::optional<std::string_view> take(std::string_view& bytes) {
  uint64_t size;
  if (bytes.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, bytes.data(), sizeof size);
  bytes.remove_prefix(sizeof size);
  if (size > bytes.size()) return std::nullopt;
  const auto text = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return text;
}

}  // namespace

size_t request_bytes(const Request& request) {
  size_t total = 2 * sizeof(uint64_t) + request.program.size() + request.entry.size();
  for (const auto text : request.arguments) total += sizeof(uint64_t) + text.size();
  return total;
}

size_t write_request(const Request& request, std::span<char> area) {
  RequestWriter writer(request, area);
  writer.write(area.size());
  return writer.written();
}

RequestWriter::RequestWriter(const Request& request, std::span<char> area)
    : request_(request), area_(area) {
  assert(request_bytes(request) <= area.size());
}

std::string_view RequestWriter::field() const {
  if (field_ == 0) return request_.program;
  return field_ == 1 ? request_.entry : request_.arguments[field_ - 2];
}

void RequestWriter::put(std::string_view bytes) {
  std::memcpy(area_.data() + at_, bytes.data(), bytes.size());
  at_ += bytes.size();
}

bool RequestWriter::write(size_t bytes) {
  for (const size_t fields = 2 + request_.arguments.size(); field_ < fields; ++field_) {
    const std::string_view text = field();
    if (bytes == 0 && !text.empty()) return false;
    const uint64_t size = text.size();
    if (in_field_ == 0) put({reinterpret_cast<const char*>(&size), sizeof size});
    const auto piece = text.substr(in_field_, bytes);
    put(piece);
    in_field_ += piece.size();
    bytes -= piece.size();
    if (in_field_ < text.size()) return false;
    in_field_ = 0;
  }
  return true;
}

std::optional<Request> read_request(std::string_view bytes) {
  Request request;
  const auto program = take(bytes);
  const auto entry = take(bytes);
  if (!program || !entry) return std::nullopt;
  request.program = *program;
  request.entry = *entry;
  while (!bytes.empty()) {
    const auto text = take(bytes);
    if (!text) return std::nullopt;
    request.arguments.push_back(*text);
  }
  return request;
}

}  // namespace azr
