// Messages between the broker and a zygote: one SOCK_SEQPACKET packet each, with descriptors beside
// it. Both ends come from one build, so plain structures travel as they lie in memory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "program_limits.h"
#include "unique_fd.h"

namespace azr {

// Descriptors a zygote is started with; the last two become its programs' stdout and stderr.
inline constexpr int kControlFd = 3;
inline constexpr int kRegionFd = 4;
inline constexpr int kOutFd = 5;
inline constexpr int kErrFd = 6;

enum class MessageType : uint8_t {
  kReady = 'R',   // zygote: warm and locked; body: serialized layers
  kFailed = 'F',  // zygote: could not start; body: one line
  // broker: TaskHeader; descriptor: stdin, if it is not empty. To a rewind zygote, the request
  // after it; or a descriptor of it, where it is long.
  kTask = 'J',
  // zygote: the program is not quick; descriptor: its process's pidfd; body: the CPU time that
  // process had used before, int64_t microseconds
  kStarted = 'S',
  // zygote: DoneReport. Of a rewind zygote, the records after it; they are in the region where
  // there is nothing more.
  kDone = 'D',
  kUnserved = 'U',  // rewind zygote: the program needs another tier; Unserved
  kReturned = 'B',  // rewind zygote: has not begun the task that waited for this one
  kGo = 'G',        // broker: has all that the last program wrote
};

enum class JobKind : uint8_t { kCall, kRun };

using Token = std::array<uint8_t, 16>;

struct TaskHeader {
  JobKind kind = JobKind::kCall;
  bool has_seed = false;
  bool falls_back = false;  // a stronger tier serves what this one would refuse
  Token token{};
  Limits limits;
  int64_t seed = 0;
  uint64_t request_bytes = 0;  // length of the request in the region's input area
  uint32_t replica = 0;        // which of the job's
};

struct DoneReport {
  int wait_status = 0;
  bool unmade = false;  // there was no room for its process: nothing was run
  bool waits = false;   // a rewind zygote: for kGo, since there is more in the pipes or the region
  int64_t cpu_us = 0;
  int64_t wall_us = 0;  // of a rewind zygote's: the broker learns of its beginning too late
  int64_t max_rss_kib = 0;
  int64_t faults = 0;
};

// Why a rewound process could not serve a program: it asked for something that would leave a trace.
// And what it had used by then.
struct Unserved {
  int syscall = -1;    // negative: a signal ended it
  bool waits = false;  // as in DoneReport
  int64_t cpu_us = 0;
  int64_t max_rss_kib = 0;
  int64_t faults = 0;
};

struct Message {
  MessageType type;
  std::string body;
  std::vector<UniqueFd> fds;
};

// Exit statuses of a child that mean something to the broker, with an end note that says so.
inline constexpr int kExitBySignal = 159;      // the end note says which, and which call if any
inline constexpr int kExitLimitsFailed = 151;  // so does it: a layer could not be put on
inline constexpr int kExitFilterFailed = 152;

inline constexpr size_t kMaxPacket = 16384;

// False and errno when the packet could not be sent whole. `more` follows `body`.
bool send_message(int socket, MessageType type, std::string_view body, std::span<const int> fds,
                  std::string_view more = {});
// Nothing at end of file, on a malformed packet and on errors (errno; EAGAIN when none waits).
std::optional<Message> receive_message(int socket);

// A zygote's way to wait for a task and, if it has one, its stdin. False where receive_message
// has nothing, and for any other message. Writes to the stack only.
bool receive_task(int socket, TaskHeader& task, UniqueFd& stdin_fd);

struct MessageView {
  MessageType type;
  std::string_view body;
};
// The same as receive_message() with recvmsg's `flags`, and a message of at most one descriptor:
// all of its body lies in `buffer`, of kMaxPacket bytes.
std::optional<MessageView> receive_into(int socket, std::span<char> buffer, UniqueFd& fd,
                                        int flags);

template <typename T>
std::string_view as_bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <typename T>
std::optional<T> from_bytes(std::string_view bytes) {
  if (bytes.size() != sizeof(T)) return std::nullopt;
  T value;
  __builtin_memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace azr
