// Row kernels in GCC/Clang vector extensions. Compiled once per instruction set with AZR_ISA (the
// name) and AZR_LANES (floats per register); nothing but `kernels` has external linkage, so that
// no function built for one processor can be linked in place of another's.
//
// A row of 49,152 bf16 logits is 96 KiB: the first pass brings it into the second-level cache and
// the others find it there. Statistics are fp32 sums over AZR_LANES x kUnroll partial sums.
#include "cpu/rows.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace azr {
namespace {

constexpr int kLanes = AZR_LANES;
constexpr int kUnroll = 4;

template <class T, int kCount>
struct VectorOf {
  using type [[gnu::vector_size(sizeof(T) * kCount)]] = T;
};
using Float = VectorOf<float, kLanes>::type;
using Int = VectorOf<std::int32_t, kLanes>::type;
using Word = VectorOf<std::uint32_t, kLanes>::type;
using Half = VectorOf<std::uint16_t, kLanes>::type;

template <class To, class From>
To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

Float broadcast(float x) { return Float{} + x; }

Float load(const float* from) {
  Float x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

Float load(const BFloat16* from) {
  Half half;
  __builtin_memcpy(&half, from, sizeof half);
  return bit_cast<Float>(__builtin_convertvector(half, Word) << 16);
}

void store(float* to, Float x) { __builtin_memcpy(to, &x, sizeof x); }

// Rounds to nearest, ties to even.
void store(BFloat16* to, Float x) {
#ifdef __AVX512BF16__
  const auto half = _mm512_cvtneps_pbh(x);
#else
  const Word bits = bit_cast<Word>(x);
  const Half half = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, Half);
#endif
  __builtin_memcpy(to, &half, sizeof half);
}

// The first `count` lanes from memory, the others `fill`; and back.
template <class Logit>
Float load_some(const Logit* from, int count, float fill) {
  Float x = broadcast(fill);
  for (int i = 0; i < count; ++i) {
    if constexpr (sizeof(Logit) == sizeof(float)) {
      x[i] = from[i];
    } else {
      x[i] = bit_cast<float>(std::uint32_t{from[i].bits} << 16);
    }
  }
  return x;
}

template <class Logit>
void store_some(Logit* to, int count, Float x) {
  Logit all[kLanes];
  store(all, x);
  __builtin_memcpy(to, all, count * sizeof(Logit));
}

// e^x for x <= 0, relative error under 2e-7; 0 below the smallest normal float. x = n ln 2 + r with
// |r| <= ln 2 / 2, and a polynomial for e^r (Taylor, degree 7: its remainder is under 1e-8).
Float exp_nonpositive(Float x) {
  const Int tiny = x < -87.33654f;
  x = tiny ? broadcast(-87.0f) : x;
  const Float shift = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Float n = (x * 1.44269504f + shift) - shift;
  Float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  Float p = broadcast(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Int exponent = (__builtin_convertvector(n, Int) + 127) << 23;
  return tiny ? Float{} : p * bit_cast<Float>(exponent);
}

float sum(Float x) {
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += x[i];
  return total;
}

// Calls step(k, offset, lanes) for every vector of a row; k cycles through kUnroll accumulators and
// lanes < kLanes for the last, partial vector alone.
template <class Step>
void for_each_vector(std::int64_t count, Step step) {
  std::int64_t at = 0;
  for (; at + kLanes * kUnroll <= count; at += kLanes * kUnroll) {
#pragma GCC unroll 4
    for (int k = 0; k < kUnroll; ++k) step(k, at + k * kLanes, kLanes);
  }
  for (; at < count; at += kLanes) {
    step(0, at, static_cast<int>(count - at < kLanes ? count - at : kLanes));
  }
}

template <class Logit>
Float load_lanes(const Logit* from, int lanes, float fill) {
  return lanes == kLanes ? load(from) : load_some(from, lanes, fill);
}

template <class Logit>
float largest(const Logit* logits, std::int64_t count) {
  Float best[kUnroll];
  for (Float& b : best) b = broadcast(-__builtin_inff());
  for_each_vector(count, [&](int k, std::int64_t at, int lanes) {
    const Float x = load_lanes(logits + at, lanes, -__builtin_inff());
    best[k] = x > best[k] ? x : best[k];
  });
  float top = best[0][0];
  for (const Float& b : best) {
    for (int i = 0; i < kLanes; ++i) top = b[i] > top ? b[i] : top;
  }
  return top;
}

template <class Logit>
RowStatistics statistics(const Row<Logit>& row) {
  const float shift = row.scale * largest(row.logits, row.vocabulary);
  Float exp[kUnroll] = {}, y_exp[kUnroll] = {};
  for_each_vector(row.vocabulary, [&](int k, std::int64_t at, int lanes) {
    Float y = load_lanes(row.logits + at, lanes, 0) * row.scale - shift;
    for (int i = lanes; i < kLanes; ++i) y[i] = -1e30f;  // beyond the row: e^y is exactly 0
    const Float e = exp_nonpositive(y);
    exp[k] += e;
    y_exp[k] += y * e;
  });
  return {.shift = shift,
          .exp = sum((exp[0] + exp[1]) + (exp[2] + exp[3])),
          .y_exp = sum((y_exp[0] + y_exp[1]) + (y_exp[2] + y_exp[3])),
          .target_y = load_some(row.logits + row.target, 1, 0)[0] * row.scale - shift};
}

// With p = e^(y - log sum) and H the entropy, d/dz of the loss is p (c + w (log p + H)) - c
// [target], times the scale.
template <class Logit>
TokenResult policy_loss(const Row<Logit>& row, Objective objective) {
  const RowStatistics sums = statistics(row);
  const float log_sum = __builtin_logf(sums.exp);
  const float entropy = log_sum - sums.y_exp / sums.exp;
  const float constant = (objective.coefficient + objective.entropy_weight * entropy) * row.scale;
  const float slope = objective.entropy_weight * row.scale;
  const auto gradient = [&](Float x) {
    // Rounding can leave log p above 0 by an ulp or two, beyond what exp_nonpositive takes.
    Float logp = (x * row.scale - sums.shift) - log_sum;
    logp = logp > 0 ? Float{} : logp;
    return exp_nonpositive(logp) * (slope * logp + constant);
  };
  Float at_target = gradient(load_some(row.logits + row.target, 1, 0));
  at_target[0] -= objective.coefficient * row.scale;
  for_each_vector(row.vocabulary, [&](int, std::int64_t at, int lanes) {
    if (lanes == kLanes) {
      store(row.logits + at, gradient(load(row.logits + at)));
    } else {
      store_some(row.logits + at, lanes, gradient(load_some(row.logits + at, lanes, 0)));
    }
  });
  store_some(row.logits + row.target, 1, at_target);
  return {.logp = sums.target_y - log_sum, .entropy = entropy};
}

#define AZR_STRING(x) #x
#define AZR_NAME(x) AZR_STRING(x)

}  // namespace

namespace AZR_ISA {
extern const RowKernels kernels;
const RowKernels kernels = {AZR_NAME(AZR_ISA), statistics<BFloat16>, statistics<float>,
                            policy_loss<BFloat16>, policy_loss<float>};
}  // namespace AZR_ISA

}  // namespace azr
