// Long work in pieces: each turn of the loop does one, and what comes out is the same.
#include <sys/stat.h>

#include <string>
#include <vector>

#include "broker/event_loop.h"
#include "expect.h"
#include "shared/region.h"
#include "shared/request.h"

namespace {

using namespace azr;

Request a_request(const std::string& program, const std::vector<std::string>& arguments) {
  Request request{program, "f", {}};
  for (const auto& text : arguments) request.arguments.push_back(text);
  return request;
}

void requests() {
  const std::string program(10'000, 'p');
  const std::vector<std::string> arguments = {"", std::string(3'000, 'a'), "", "b", ""};
  const Request request = a_request(program, arguments);
  std::string whole(request_bytes(request), '\0');
  EXPECT(write_request(request, whole) == whole.size());
  for (const size_t bytes : {1, 7, 1'000, 100'000}) {
    std::string pieces(whole.size(), '\0');
    RequestWriter writer(request, pieces);
    size_t turns = 1;
    while (!writer.write(bytes)) ++turns;
    EXPECT(pieces == whole && writer.written() == whole.size());
    EXPECT(turns >= 13'000 / bytes);
  }
}

int64_t blocks(int fd) {
  struct stat info{};
  return ::fstat(fd, &info) == 0 ? info.st_blocks : -1;
}

void regions() {
  const UniqueFd fd = Region::create();
  const Region region(fd.get());
  EXPECT(region.valid() && region.clear(fd.get()));
  const int64_t clean = blocks(fd.get());
  for (const size_t at : {size_t{20'000}, kInputBytes - 1}) region.input()[at] = 'x';
  region.output()[kOutputBytes - 1] = 'x';
  EXPECT(blocks(fd.get()) > clean);
  size_t at = 0, turns = 0;
  for (; at < Region::kAllBytes; ++turns) EXPECT(region.clear_some(fd.get(), at, 8u << 20));
  EXPECT(turns > 1 && turns <= Region::kAllBytes / (8u << 20));
  EXPECT(region.input()[20'000] == 0 && region.output()[kOutputBytes - 1] == 0);
  EXPECT(region.clear(fd.get()));  // reading made pages again
  EXPECT(region.clear(fd.get()) && blocks(fd.get()) == clean);
  at = 0;
  EXPECT(region.clear_some(fd.get(), at, 8u << 20) && at == Region::kAllBytes);  // clean: at once
}

// What goes on soon lets others have their turn, and a timer that sets itself anew does not keep
// the loop.
void turns() {
  EventLoop loop;
  std::string order;
  std::function<void()> again = [&] {
    order += 's';
    if (order.size() < 20) loop.soon(again);
  };
  std::function<void()> timer = [&] {
    order += 't';
    loop.call_after(Milliseconds(0), timer);
  };
  loop.soon(again);
  loop.call_after(Milliseconds(0), timer);
  size_t told = 0;
  loop.on_turn([&told](Clock::duration) { ++told; });
  for (int i = 0; i < 3; ++i) loop.run_once();
  EXPECT(order == "ststst" && told == 3);
}

}  // namespace

int main() {
  requests();
  regions();
  turns();
  return test_result();
}
