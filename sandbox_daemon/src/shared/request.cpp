#include "request.h"

#include <cassert>
#include <cstdint>
#include <cstring>

namespace azr {
namespace {

char* put(char* at, std::string_view text) {
  const uint64_t size = text.size();
  std::memcpy(at, &size, sizeof size);
  std::memcpy(at + sizeof size, text.data(), text.size());
  return at + sizeof size + text.size();
}

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
  assert(request_bytes(request) <= area.size());
  char* at = put(put(area.data(), request.program), request.entry);
  for (const auto text : request.arguments) at = put(at, text);
  return static_cast<size_t>(at - area.data());
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
