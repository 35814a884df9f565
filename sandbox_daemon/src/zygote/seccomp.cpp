#include "seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <span>

namespace azr {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "azr-sandboxd has a system-call table for x86_64 and aarch64 only"
#endif

uint32_t return_value(SyscallAction action) {
  switch (action) {
    case SyscallAction::kAllow:
      return SECCOMP_RET_ALLOW;
    case SyscallAction::kEperm:
      return SECCOMP_RET_ERRNO | EPERM;
    case SyscallAction::kErofs:
      return SECCOMP_RET_ERRNO | EROFS;
    case SyscallAction::kEnosys:
      return SECCOMP_RET_ERRNO | ENOSYS;
    case SyscallAction::kEagain:
      return SECCOMP_RET_ERRNO | EAGAIN;
    case SyscallAction::kPretend:
      return SECCOMP_RET_ERRNO | 0;
    case SyscallAction::kTrace:
      return SECCOMP_RET_TRACE;
    case SyscallAction::kTrap:
      break;
  }
  return SECCOMP_RET_TRAP;
}

sock_filter load(uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter give(SyscallAction action) { return BPF_STMT(BPF_RET | BPF_K, return_value(action)); }
sock_filter jump(uint16_t test, uint32_t value, uint8_t yes, uint8_t no) {
  return BPF_JUMP(static_cast<uint16_t>(BPF_JMP | test | BPF_K), value, yes, no);
}
uint32_t low_word(uint8_t index) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + index * sizeof(uint64_t));
}

// One run of numbers with the same fate; its `leaf` ends in a return on every way.
struct Interval {
  uint32_t first;
  std::vector<sock_filter> leaf;
  std::vector<size_t> pid_at;  // places in `leaf` that take the pid
};

Interval plain(uint32_t first, SyscallAction action) { return {first, {give(action)}, {}}; }

// A jump that goes on at the next instruction when `passes` is how the comparison ends, else passes
// over it.
sock_filter must(bool passes, uint16_t test, uint32_t value) {
  return jump(test, value, passes ? 0 : 1, passes ? 1 : 0);
}

// The same for whether the value is one of several, or none of them.
void compare_with_all(std::vector<sock_filter>& code, const ArgumentTest& test) {
  const bool one_of = test.kind == ArgumentTest::Kind::kOneOf;
  size_t after = test.values.size() - 1;  // comparisons that follow
  for (const uint32_t value : test.values) {
    const auto found = static_cast<uint8_t>(one_of ? after : after + 1);
    const bool last = after-- == 0;
    code.push_back(jump(BPF_JEQ, value, found, one_of && last ? 1 : 0));
  }
}

// One test: it comes to the instruction after it when it passes, else jumps over that one.
void append_test(Interval& interval, const ArgumentTest& test) {
  auto& code = interval.leaf;
  code.push_back(load(low_word(test.index)));
  switch (test.kind) {
    case ArgumentTest::Kind::kOneOf:
    case ArgumentTest::Kind::kNoneOf:
      return compare_with_all(code, test);
    case ArgumentTest::Kind::kMaskZero:
      return code.push_back(must(false, BPF_JSET, test.values[0]));
    case ArgumentTest::Kind::kMaskSet:
      return code.push_back(must(true, BPF_JSET, test.values[0]));
    case ArgumentTest::Kind::kBelow:
      return code.push_back(must(false, BPF_JGE, test.values[0]));
    case ArgumentTest::Kind::kNotInit:
      code.push_back(jump(BPF_JGE, 2, 0, 2));
      return code.push_back(must(false, BPF_JSET, 1u << 31));
    case ArgumentTest::Kind::kOwnPid:
      interval.pid_at.push_back(code.size());
      return code.push_back(must(true, BPF_JEQ, 0));
  }
}

// The leaf of a rule with tests: each is followed by the rule's action.
Interval tested(const SyscallRule& rule) {
  Interval interval{rule.number, {}, {}};
  for (const ArgumentTest& test : rule.any_of) {
    append_test(interval, test);
    interval.leaf.push_back(give(rule.action));
  }
  interval.leaf.push_back(give(rule.otherwise));
  return interval;
}

std::vector<Interval> intervals_of(std::vector<SyscallRule> rules, SyscallAction others) {
  std::ranges::sort(rules, {}, &SyscallRule::number);
  std::vector<Interval> intervals = {plain(0, others)};
  const auto begin_at = [&](Interval next) {
    if (intervals.back().first == next.first) intervals.pop_back();
    const bool same = !intervals.empty() && intervals.back().leaf.size() == 1 &&
                      next.leaf.size() == 1 && intervals.back().leaf[0].k == next.leaf[0].k;
    if (!same) intervals.push_back(std::move(next));
  };
  for (const auto& rule : rules) {
    begin_at(rule.any_of.empty() ? plain(rule.number, rule.action) : tested(rule));
    begin_at(plain(rule.number + 1, others));
  }
  return intervals;
}

// Binary search over the intervals: few steps for every number, also when the kernel tries them all
// at installation to fill its table of always-allowed calls.
class TreeBuilder {
 public:
  TreeBuilder(std::vector<sock_filter>& code, std::vector<size_t>& pid_at)
      : code_(code), pid_at_(pid_at) {}

  void emit(std::span<const Interval> intervals) {
    if (intervals.size() == 1) return emit_leaf(intervals[0]);
    const size_t half = intervals.size() / 2;
    const size_t node = code_.size();
    code_.push_back(jump(BPF_JGE, intervals[half].first, 0, 1));
    code_.push_back(BPF_STMT(BPF_JMP | BPF_JA, 0));  // its 32-bit offset reaches any distance
    emit(intervals.first(half));
    code_[node + 1].k = static_cast<uint32_t>(code_.size() - node - 2);
    emit(intervals.subspan(half));
  }

 private:
  void emit_leaf(const Interval& interval) {
    for (const size_t at : interval.pid_at) pid_at_.push_back(code_.size() + at);
    code_.insert(code_.end(), interval.leaf.begin(), interval.leaf.end());
  }

  std::vector<sock_filter>& code_;
  std::vector<size_t>& pid_at_;
};

}  // namespace

SyscallFilter::SyscallFilter(const std::vector<SyscallRule>& rules, SyscallAction others) {
  code_ = {load(offsetof(seccomp_data, arch)), jump(BPF_JEQ, kArchitecture, 1, 0),
           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), load(offsetof(seccomp_data, nr))};
  TreeBuilder(code_, pid_at_).emit(intervals_of(rules, others));
  assert(code_.size() <= BPF_MAXINSNS);
}

void SyscallFilter::bind(pid_t pid) {
  for (const size_t at : pid_at_) code_[at].k = static_cast<uint32_t>(pid);
}

bool SyscallFilter::install(pid_t pid) {
  bind(pid);
  const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

}  // namespace azr
