// What a child reads from the region: bytes that are a whole request are that request's only bytes.
#include "fuzz.h"
#include "request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes = azr::fuzz::copy_of(data, size);
  const auto request = azr::read_request(bytes);
  if (!request) return 0;
  HOLDS(azr::request_bytes(*request) == bytes.size());
  std::string again(bytes.size(), '\xff');
  HOLDS(azr::write_request(*request, again) == bytes.size());
  HOLDS(again == bytes);
  return 0;
}
