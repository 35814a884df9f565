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

// The same a piece at a time. The request's texts must live as long.
class RequestWriter {
 public:
  RequestWriter(const Request& request, std::span<char> area);
  // About `bytes` more of it; whether all of it is written now.
  bool write(size_t bytes);
  size_t written() const { return at_; }

 private:
  std::string_view field() const;
  void put(std::string_view bytes);

  const Request& request_;
  std::span<char> area_;
  size_t at_ = 0;        // in the area
  size_t field_ = 0;     // being written
  size_t in_field_ = 0;  // bytes of its text that are written
};

// Views into `bytes`; nothing when they are no whole request.
std::optional<Request> read_request(std::string_view bytes);

}  // namespace azr
