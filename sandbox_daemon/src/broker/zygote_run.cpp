#include "zygote_run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include <csignal>
#include <fstream>

#include "random.h"

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

// Data in a sealed memory file, to be read from its beginning.
UniqueFd file_with(std::string_view data) {
  UniqueFd fd(::memfd_create("azr-stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  while (fd && !data.empty()) {
    const ssize_t size = ::write(fd.get(), data.data(), data.size());
    if (size <= 0) return {};
    data.remove_prefix(static_cast<size_t>(size));
  }
  if (fd) {
    ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    ::lseek(fd.get(), 0, SEEK_SET);
  }
  return fd;
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
      err_(err) {
  if (!task.stdin_data.empty()) stdin_ = file_with(task.stdin_data);
  header_ = {task.kind,   task.has_seed, random_token(),
             task.limits, task.seed,     request_bytes(task.request)};
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

bool ZygoteRun::send(int control, const Region& region) {
  write_request(request_, region.input());
  std::vector<int> fds;
  if (stdin_) fds.push_back(stdin_->get());
  if (stdin_ && !*stdin_) return false;
  const bool sent = send_message(control, MessageType::kJob, as_bytes(header_), fds);
  stdin_.reset();
  return sent;
}

bool ZygoteRun::send_with_request(int control) {
  std::string request(header_.request_bytes, '\0');
  write_request(request_, request);
  if (request.size() <= kShortRequest) {
    return send_message(control, MessageType::kJob, as_bytes(header_), {}, request);
  }
  const UniqueFd file = file_with(request);
  const int handle = file.get();
  return file && send_message(control, MessageType::kJob, as_bytes(header_), {&handle, 1});
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
  outcome.unserved = why;
  deliver_(std::move(outcome));
}

void ZygoteRun::finish(Ending ending, std::span<const char> records, bool owns_pipes) {
  const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started_);
  // The child is dead: what is in the pipes is all there will be.
  if (!ending.zygote_died && owns_pipes) take_output();
  ending.killed = killed_;
  Outcome outcome = judge({header_.kind, cases_, header_.limits}, ending, records, header_.token);
  outcome.wall_us = std::max<int64_t>(wall.count(), ending.report.wall_us);
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
