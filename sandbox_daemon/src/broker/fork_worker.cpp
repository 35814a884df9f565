#include "broker/fork_worker.h"

#include <sys/wait.h>

#include <cassert>
#include <csignal>

namespace azr {
namespace {

// To try again what could not be started. A jail that never was there most often cannot be had.
constexpr Milliseconds kRetry{1'000}, kRetryJail{60'000};

}  // namespace

void ForkWorker::on_spawned() {
  if (config().tier == Tier::kJail) group_.emplace(process().pid);
}

void ForkWorker::on_layers(Layers& layers) {
  if (!group_) return;
  layers.push_back(group_->layer());
  group_->note_zygote();
}

// A program can change what it shares with the next one: the region and the flags of the pipes.
void ForkWorker::start(const Task& task, Begin begin, Deliver deliver) {
  assert(idle());
  run_ = make_run(task, std::move(begin), std::move(deliver));
  take();
  out().reset_flags();
  err().reset_flags();
  !group_ || group_->limit(task.limits) ? load() : expect(false);
}

// A long request takes several turns of the loop, so that nobody waits for it. The clock starts
// when it is there.
void ForkWorker::load() {
  if (!run_ || run_->is_loaded()) return;  // the zygote that it was for died meanwhile
  switch (run_->load(region(), region_fd())) {
    case ZygoteRun::Load::kMore:
      return loop_.soon([this] { load(); });
    case ZygoteRun::Load::kFailed:
      return expect(false);
    case ZygoteRun::Load::kWhole:
      begin_run();
      expect(run_->send(process().control.get()));
  }
}

void ForkWorker::on_done(const DoneReport& report, std::string_view) {
  end_run(report, /*died=*/false);
  become_idle();
  tell_idle();
}

// Its program is lost with it.
void ForkWorker::on_died() {
  if (run_) end_run({}, /*died=*/true);
  group_.reset();
}

void ForkWorker::end_run(const DoneReport& report, bool died) {
  const auto run = std::move(run_);
  const bool killed = WIFSIGNALED(report.wait_status) && WTERMSIG(report.wait_status) == SIGKILL;
  const bool out_of_memory = killed && group_ && group_->new_memory_kills();
  run->finish({KillReason::kNone, report, died, out_of_memory}, region().output(),
              /*owns_pipes=*/true);
}

Milliseconds ForkWorker::retry_delay() const {
  return config().tier == Tier::kJail && layers().empty() ? kRetryJail : kRetry;
}

}  // namespace azr
