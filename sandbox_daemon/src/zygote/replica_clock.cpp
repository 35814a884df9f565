#include "replica_clock.h"

#include <dlfcn.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>

#include <ctime>
#include <initializer_list>

namespace azr {
namespace {

constexpr long kSecond = 1'000'000'000;  // nanoseconds
// A year, a month, a day, 5 h 17 min 31.377123457 s into the past: then files that a program makes
// are no older than the program.
constexpr timespec kTimeOfDay{-((366L + 31 + 1) * 86'400 + 5 * 3'600 + 17 * 60 + 31), -377'123'457};
constexpr timespec kCpuTime{7, 113'457'103};
constexpr long kTicks = 40'013;    // of times(2)
constexpr long kEvents = 100'003;  // and KiB

uint32_t g_replica = 0;

// What the C library has under the name that this file takes.
template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

timespec later(timespec time, const timespec& step, long times) {
  const long nanoseconds = time.tv_nsec + step.tv_nsec * times;
  const long carried = (nanoseconds % kSecond + kSecond) % kSecond;
  time.tv_sec += step.tv_sec * times + (nanoseconds - carried) / kSecond;
  time.tv_nsec = carried;
  return time;
}

void move(timeval& time, const timespec& step) {
  const timespec moved = later({time.tv_sec, time.tv_usec * 1000}, step, g_replica);
  time = {moved.tv_sec, moved.tv_nsec / 1000};
}

// Of clocks that replicas read otherwise. Those that only ever go on have a beginning of their own
// in each zygote, by a namespace: what waits for them waits in the kernel.
const timespec* step_of(clockid_t clock) {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
      return &kTimeOfDay;
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID:
      return &kCpuTime;
    default:
      return nullptr;
  }
}

// Pipes carry the time of when they were made and last written to, which replicas share.
template <typename Info>
void move_times_of_pipe(Info& info) {
  if (!S_ISFIFO(info.st_mode)) return;
  for (timespec* time : {&info.st_atim, &info.st_mtim, &info.st_ctim}) {
    *time = later(*time, kTimeOfDay, g_replica);
  }
}

}  // namespace

void become_replica(uint32_t number) { g_replica = number; }
uint32_t replica_number() { return g_replica; }

}  // namespace azr

// The C library's functions, for Python and for modules that are loaded later.
#define AZR_IN_PLACE extern "C" __attribute__((visibility("default")))

AZR_IN_PLACE int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const auto read = azr::next<int(clockid_t, timespec*)>("clock_gettime");
  const int result = read(clock, time);
  const timespec* step = azr::g_replica == 0 || result != 0 ? nullptr : azr::step_of(clock);
  if (step != nullptr) *time = azr::later(*time, *step, azr::g_replica);
  return result;
}

AZR_IN_PLACE int gettimeofday(timeval* time, void* zone) noexcept {
  static const auto read = azr::next<int(timeval*, void*)>("gettimeofday");
  const int result = read(time, zone);
  if (result == 0) azr::move(*time, azr::kTimeOfDay);
  return result;
}

AZR_IN_PLACE time_t time(time_t* result) noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (result != nullptr) *result = now.tv_sec;
  return now.tv_sec;
}

AZR_IN_PLACE int sem_timedwait(sem_t* semaphore, const timespec* until) {
  static const auto wait = azr::next<int(sem_t*, const timespec*)>("sem_timedwait");
  const timespec true_time =
      azr::later(*until, azr::kTimeOfDay, -static_cast<long>(azr::g_replica));
  return wait(semaphore, &true_time);
}

AZR_IN_PLACE int fstat(int fd, struct stat* info) noexcept {
  static const auto read = azr::next<int(int, struct stat*)>("fstat");
  const int result = read(fd, info);
  if (result == 0) azr::move_times_of_pipe(*info);
  return result;
}

AZR_IN_PLACE int fstat64(int fd, struct stat64* info) noexcept {
  static const auto read = azr::next<int(int, struct stat64*)>("fstat64");
  const int result = read(fd, info);
  if (result == 0) azr::move_times_of_pipe(*info);
  return result;
}

AZR_IN_PLACE int sched_getcpu() noexcept {
  static const auto read = azr::next<int()>("sched_getcpu");
  return read() + static_cast<int>(azr::g_replica);
}

AZR_IN_PLACE clock_t times(tms* used) noexcept {
  static const auto read = azr::next<clock_t(tms*)>("times");
  const clock_t now = read(used);
  const long more = azr::kTicks * azr::g_replica;
  if (used != nullptr) used->tms_utime += more;
  return now + more;
}

AZR_IN_PLACE int getrusage(__rusage_who_t who, rusage* usage) noexcept {
  static const auto read = azr::next<int(__rusage_who_t, rusage*)>("getrusage");
  const int result = read(who, usage);
  if (result != 0) return result;
  azr::move(usage->ru_utime, azr::kCpuTime);
  azr::move(usage->ru_stime, azr::kCpuTime);
  for (long* counter :
       {&usage->ru_maxrss, &usage->ru_minflt, &usage->ru_nvcsw, &usage->ru_nivcsw}) {
    *counter += azr::kEvents * azr::g_replica;
  }
  return result;
}
