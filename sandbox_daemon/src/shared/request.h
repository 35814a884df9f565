// What a program's child is asked to do, as it lies in the region: length-prefixed fields.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace azr {

struct Request {
  std::string_view program;
  std::string_view entry;                   // CALL only
  std::vector<std::string_view> arguments;  // CALL only: one text per case
};

size_t request_bytes(const Request& request);
// Writes to `area`, which must hold request_bytes(request); returns the bytes written.
size_t write_request(const Request& request, std::span<char> area);
// Views into `bytes`; nothing when they are no whole request.
std::optional<Request> read_request(std::string_view bytes);

}  // namespace azr
