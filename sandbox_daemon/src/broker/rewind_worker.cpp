#include "broker/rewind_worker.h"

#include <sys/wait.h>

#include <cassert>

namespace azr {
namespace {

constexpr size_t kAhead = 3;  // programs that wait for the one that runs
// To try again what could not be started: most often it cannot be had at all, and others serve.
constexpr Milliseconds kRetry{60'000};

}  // namespace

bool RewindWorker::has_room() const {
  return run_ && run_->is_quick() && !wrote_ && waiting_.size() < kAhead;
}

void RewindWorker::start(const Task& task, Begin begin, Deliver deliver) {
  assert(idle() || has_room());
  auto run = make_run(task, std::move(begin), std::move(deliver));
  const bool sent = run->send_with_request(process().control.get());
  if (idle()) {
    run_ = std::move(run);
    begin_run();
  } else {
    waiting_.push_back(std::move(run));
  }
  expect(sent);
}

// Whose output it is shows in what the zygote has said: it tells of a program's end before the next
// one writes.
void RewindWorker::on_output() {
  while (!waiting_.empty() && take_message()) {
  }
  if (run_) run_->take_output();
}

bool RewindWorker::handle_other(Message& message) {
  const auto unserved = from_bytes<Unserved>(message.body);
  if (message.type == MessageType::kUnserved && run_ && unserved) {
    on_unserved(*unserved);
  } else if (message.type == MessageType::kReturned && !waiting_.empty()) {
    on_returned();
  } else {
    return false;
  }
  return true;
}

// A process that many programs share ends for the broker's kills alone. Should it end otherwise, a
// fork shows whether this program was to blame.
void RewindWorker::on_done(const DoneReport& report, std::string_view records) {
  if (WIFSIGNALED(report.wait_status) && !run_->killed()) {
    return on_unserved({.syscall = -1,
                        .waits = report.waits,
                        .cpu_us = report.cpu_us,
                        .max_rss_kib = report.max_rss_kib,
                        .faults = report.faults});
  }
  const auto run = std::move(run_);
  const auto output = records.empty() ? std::span<const char>(region().output()) : records;
  run->finish({.report = report}, output, /*owns_pipes=*/report.waits);
  go_on(report.waits);
}

void RewindWorker::on_unserved(const Unserved& why) {
  std::exchange(run_, nullptr)->finish_unserved(why, why.waits);
  go_on(why.waits);
}

void RewindWorker::on_returned() {
  const auto run = std::move(waiting_.front());
  waiting_.pop_front();
  run->finish_returned();
}

// A program has ended, and all that it wrote is taken.
void RewindWorker::go_on(bool waits) {
  become_idle();
  wrote_ = waits;
  if (!waits && !waiting_.empty()) {
    run_ = std::move(waiting_.front());
    waiting_.pop_front();
    begin_run();
  }
  if (waits) expect(send_message(process().control.get(), MessageType::kGo, {}, {}));
  tell_idle();
}

// Another tier takes its program over: what that has done so far nobody has seen.
void RewindWorker::on_died() {
  if (run_) std::exchange(run_, nullptr)->finish_unserved({}, /*owns_pipes=*/false);
  while (!waiting_.empty()) on_returned();
}

Milliseconds RewindWorker::retry_delay() const { return kRetry; }

}  // namespace azr
