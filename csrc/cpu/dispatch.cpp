// Picks the build of the kernels at run time.
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
#ifdef AZR_HAS_avx512bf16
AZR_DECLARE(avx512bf16)
#endif
#ifdef AZR_HAS_avx2
AZR_DECLARE(avx2)
#endif
AZR_DECLARE(portable)

namespace {

// Fastest first; `portable` runs everywhere.
std::vector<const Kernels*> usable_kernels() {
  std::vector<const Kernels*> usable;
#ifdef AZR_HAS_avx512bf16
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    usable.push_back(&avx512bf16::kernels);
  }
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
