// Picks the build of the kernels at run time.
#ifdef AZR_HAS_amx
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/rows.h"

namespace azr {

#define AZR_DECLARE(isa)        \
  namespace isa {               \
  extern const Kernels kernels; \
  }
#ifdef AZR_HAS_amx
AZR_DECLARE(amx)
#endif
#ifdef AZR_HAS_avx512bf16
AZR_DECLARE(avx512bf16)
#endif
#ifdef AZR_HAS_avx2
AZR_DECLARE(avx2)
#endif
AZR_DECLARE(portable)

namespace {

#ifdef AZR_HAS_avx512bf16
bool has_avx512() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

#ifdef AZR_HAS_amx
// Linux lets a process use tile registers once it has asked (arch_prctl(2), the kernel's
// Documentation/arch/x86/xstate.rst); it refuses where a signal stack is too small for them.
bool has_amx() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return has_avx512() && __builtin_cpu_supports("amx-bf16") &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

// Fastest first; `portable` runs everywhere.
std::vector<const Kernels*> usable_kernels() {
  std::vector<const Kernels*> usable;
#ifdef AZR_HAS_amx
  if (has_amx()) usable.push_back(&amx::kernels);
#endif
#ifdef AZR_HAS_avx512bf16
  if (has_avx512()) usable.push_back(&avx512bf16::kernels);
#endif
#ifdef AZR_HAS_avx2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    usable.push_back(&avx2::kernels);
  }
#endif
  usable.push_back(&portable::kernels);
  return usable;
}

}  // namespace

const Kernels& best_kernels() {
  static const std::vector<const Kernels*> usable = usable_kernels();
  const char* wanted = std::getenv("AZR_ISA");
  for (const Kernels* kernels : usable) {
    if (wanted == nullptr || std::strcmp(kernels->isa, wanted) == 0) return *kernels;
  }
  throw std::invalid_argument("AZR_ISA=" + std::string(wanted) + " cannot run here: unset it");
}

}  // namespace azr
