// Parts of code that works wherever its bytes lie, copied to a page of its own for example: they
// become one function with what uses them, call no other, and read no constant that the compiler
// would keep elsewhere.
#pragma once

#include <ucontext.h>

#include <cstdint>

#define AZR_STANDALONE [[gnu::always_inline]] inline

namespace azr {

#if defined(__x86_64__)
AZR_STANDALONE long raw_call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  long result;
  register long fourth asm("r10") = d;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
               : "rcx", "r11", "memory");
  return result;
}

AZR_STANDALONE uintptr_t here() {
  uintptr_t place;
  asm("lea 0(%%rip), %0" : "=r"(place));
  return place;
}
#elif defined(__aarch64__)
AZR_STANDALONE long raw_call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}

AZR_STANDALONE uintptr_t here() {
  uintptr_t place;
  asm("adr %0, ." : "=r"(place));
  return place;
}
#endif

// A system call that a filter stopped, as a handler of SIGSYS sees it: its arguments, and where its
// answer goes.
class TrappedCall {
 public:
  // Of the handler's context.
  AZR_STANDALONE explicit TrappedCall(void* context)
      : at_(static_cast<ucontext_t*>(context)->uc_mcontext) {}

#if defined(__x86_64__)
  AZR_STANDALONE long first() const { return static_cast<long>(at_.gregs[REG_RDI]); }
  AZR_STANDALONE long second() const { return static_cast<long>(at_.gregs[REG_RSI]); }
  AZR_STANDALONE long third() const { return static_cast<long>(at_.gregs[REG_RDX]); }
  AZR_STANDALONE void answer(long result) { at_.gregs[REG_RAX] = result; }
#else
  AZR_STANDALONE long first() const { return static_cast<long>(at_.regs[0]); }
  AZR_STANDALONE long second() const { return static_cast<long>(at_.regs[1]); }
  AZR_STANDALONE long third() const { return static_cast<long>(at_.regs[2]); }
  AZR_STANDALONE void answer(long result) { at_.regs[0] = static_cast<uint64_t>(result); }
#endif

 private:
  mcontext_t& at_;
};

}  // namespace azr
