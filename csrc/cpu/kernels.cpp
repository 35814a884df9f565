// The table of one build's kernels.
#include "cpu/rows.h"

#define AZR_STRING(x) #x
#define AZR_NAME(x) AZR_STRING(x)

namespace azr::AZR_ISA {

template <class Logit>
constexpr RowKernels<Logit> row_kernels = {statistics<Logit>, gradient<Logit, Logit>,
                                           policy_loss<Logit, Logit>};

#ifdef __AVX512BF16__
constexpr auto product = bf16_product;
#else
constexpr auto product = nullptr;
#endif

extern const Kernels kernels;
const Kernels kernels = {AZR_NAME(AZR_ISA),  row_kernels<BFloat16>,        row_kernels<Float16>,
                         row_kernels<float>, policy_loss<float, BFloat16>, product};

}  // namespace azr::AZR_ISA
