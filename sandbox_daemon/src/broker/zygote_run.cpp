#include "broker/zygote_run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "broker/syscall_names.h"
#include "shared/random.h"

namespace azr {
namespace {

// Each is used once; they are drawn many at a time.
Token random_token() {
  static std::array<Token, 16> drawn;
  static size_t left = 0;
  if (left == 0) {
    drawn = random_value<std::array<Token, 16>>();
    left = drawn.size();
  }
  return drawn[--left];
}

constexpr size_t kShortRequest = 8192;  // bytes that go with a job
// What is loaded in one turn of the loop takes well under a millisecond.
constexpr size_t kPiece = 512 << 10, kClearPiece = 2 << 20;

UniqueFd memory_file() { return UniqueFd(::memfd_create("azr", MFD_CLOEXEC | MFD_ALLOW_SEALING)); }

// As much of `data` as was written is taken off it. False when it failed.
bool write_some(int fd, std::string_view& data, size_t most) {
  const ssize_t size = ::write(fd, data.data(), std::min(data.size(), most));
  if (size > 0) data.remove_prefix(static_cast<size_t>(size));
  return size > 0;
}

// To be read from its beginning, and never to be changed.
void seal(const UniqueFd& file) {
  ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  ::lseek(file.get(), 0, SEEK_SET);
}

UniqueFd file_with(std::string_view data) {
  UniqueFd file = memory_file();
  while (file && !data.empty()) {
    if (!write_some(file.get(), data, data.size())) return {};
  }
  if (file) seal(file);
  return file;
}

}  // namespace

ZygoteRun::ZygoteRun(EventLoop& loop, const Task& task, OutputPipe& out, OutputPipe& err,
                     Worker::Begin begin, Worker::Deliver deliver)
    : loop_(loop),
      begin_(std::move(begin)),
      deliver_(std::move(deliver)),
      request_(task.request),
      cases_(task.request.arguments.size()),
      out_(out),
      err_(err),
      stdin_left_(task.stdin_data) {
  header_ = {.kind = task.kind,
             .has_seed = task.has_seed,
             .falls_back = task.falls_back,
             .token = random_token(),
             .limits = task.limits,
             .seed = task.seed,
             .request_bytes = request_bytes(task.request),
             .replica = task.replica};
}

ZygoteRun::~ZygoteRun() {
  if (deadline_timer_) loop_.cancel(*deadline_timer_);
  if (cpu_timer_) loop_.cancel(*cpu_timer_);
}

TimePoint ZygoteRun::begin(const std::function<void()>& on_output) {
  out_.begin(on_output);
  err_.begin(on_output);
  started_ = Clock::now();
  const TimePoint deadline = begin_();
  deadline_timer_ = loop_.call_at(deadline, [this] { kill(KillReason::kWall); });
  return deadline;
}

ZygoteRun::Load ZygoteRun::load_stdin(size_t& room) {
  if (!stdin_) stdin_ = memory_file();
  const size_t before = stdin_left_.size();
  if (!stdin_ || !write_some(stdin_.get(), stdin_left_, room)) return Load::kFailed;
  room -= before - stdin_left_.size();
  if (!stdin_left_.empty()) return Load::kMore;
  seal(stdin_);
  return Load::kWhole;
}

ZygoteRun::Load ZygoteRun::load(const Region& region, int region_fd) {
  size_t room = kPiece;
  if (cleared_ < Region::kAllBytes) {
    if (!region.clear_some(region_fd, cleared_, kClearPiece)) return Load::kFailed;
    if (cleared_ < Region::kAllBytes) return Load::kMore;
  }
  if (!stdin_left_.empty()) {
    const Load loaded = load_stdin(room);
    if (loaded != Load::kWhole) return loaded;
  }
  if (!writer_) writer_.emplace(request_, region.input());
  loaded_ = writer_->write(room);
  return loaded_ ? Load::kWhole : Load::kMore;
}

bool ZygoteRun::send(int control) {
  const int handle = stdin_.get();
  const bool sent = send_message(control, MessageType::kTask, as_bytes(header_),
                                 {&handle, stdin_ ? size_t{1} : size_t{0}});
  stdin_.reset();
  return sent;
}

bool ZygoteRun::send_with_request(int control) {
  std::string request(header_.request_bytes, '\0');
  write_request(request_, request);
  if (request.size() <= kShortRequest) {
    return send_message(control, MessageType::kTask, as_bytes(header_), {}, request);
  }
  const UniqueFd file = file_with(request);
  const int handle = file.get();
  return file && send_message(control, MessageType::kTask, as_bytes(header_), {&handle, 1});
}

void ZygoteRun::on_started(UniqueFd pidfd, int64_t cpu_before) {
  pidfd_ = std::move(pidfd);
  cpu_before_ = std::chrono::microseconds(cpu_before);
  if (killed()) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  } else if (header_.limits.cpu() < header_.limits.timeout_ms) {
    cpu_timer_ = loop_.call_after(Milliseconds(header_.limits.cpu()), [this] { check_cpu(); });
  }
}

void ZygoteRun::kill(KillReason reason) {
  if (killed()) return;
  killed_ = reason;
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void ZygoteRun::take_output() {
  const size_t cap = header_.limits.output + 1;
  out_.drain(cap);
  err_.drain(cap);
  if (out_.data().size() + err_.data().size() > header_.limits.output) kill(KillReason::kOutput);
}

// CPU time of the program, by the pid of its process in our own namespace.
std::optional<Milliseconds> ZygoteRun::cpu_time() {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(pidfd_.get()));
  std::string word;
  pid_t pid = 0;
  while (info >> word) {
    if (word == "Pid:") info >> pid;
  }
  clockid_t clock;
  timespec time{};
  if (pid <= 0 || ::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    return std::nullopt;
  }
  const auto all = std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  return std::chrono::floor<Milliseconds>(all - cpu_before_);
}

// One thread cannot use more CPU than wall time: the limit cannot be passed before the next look.
void ZygoteRun::check_cpu() {
  cpu_timer_.reset();
  const auto used = cpu_time();
  if (!used) return;
  const Milliseconds limit(header_.limits.cpu());
  if (*used >= limit) return kill(KillReason::kCpu);
  cpu_timer_ = loop_.call_after(limit - *used, [this] { check_cpu(); });
}

void ZygoteRun::finish_returned() {
  Outcome outcome;
  outcome.returned = true;
  deliver_(std::move(outcome));
}

void ZygoteRun::finish_unserved(const Unserved& why, bool owns_pipes) {
  out_.end(/*all_drained=*/!owns_pipes);
  err_.end(/*all_drained=*/!owns_pipes);
  Outcome outcome;
  outcome.unserved = why.syscall < 0 ? "signal" : syscall_name(why.syscall);
  outcome.cpu_us = why.cpu_us;
  outcome.max_rss_kib = why.max_rss_kib;
  outcome.faults = why.faults;
  deliver_(std::move(outcome));
}

void ZygoteRun::finish(Ending ending, std::span<const char> records, bool owns_pipes) {
  const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started_);
  // The child is dead: what is in the pipes is all there will be.
  if (!ending.zygote_died && owns_pipes) take_output();
  ending.killed = killed_;
  Outcome outcome = judge({header_.kind, cases_, header_.limits}, ending, records, header_.token);
  outcome.wall_us = std::max<int64_t>(wall.count(), ending.report.wall_us);
  if (header_.falls_back && outcome.verdict == Verdict::kDenied) {
    outcome.unserved = outcome.syscall.empty() ? "signal" : outcome.syscall;
  }
  const size_t cap = header_.limits.output;
  const bool all = !owns_pipes ||
                   (!ending.zygote_died && out_.data().size() <= cap && err_.data().size() <= cap);
  outcome.out = out_.end(all);
  outcome.out.resize(std::min(outcome.out.size(), cap));
  outcome.err = err_.end(all);
  outcome.err.resize(std::min(outcome.err.size(), cap - outcome.out.size()));
  deliver_(std::move(outcome));
}

}  // namespace azr
