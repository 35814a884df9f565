// Vectors of floats in GCC/Clang vector extensions, for sources compiled once per instruction set
// with AZR_ISA (the name) and AZR_LANES (floats per register). All is in an unnamed namespace, so
// that no function built for one processor can be linked in place of another's.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "cpu/rows.h"

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
using HalfWord = VectorOf<std::uint16_t, kLanes>::type;
using Half = VectorOf<Float16, kLanes>::type;

template <class To, class From>
To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

inline Float broadcast(float x) { return Float{} + x; }

inline float to_float(float x) { return x; }
inline float to_float(Float16 x) { return static_cast<float>(x); }
inline float to_float(BFloat16 x) { return bit_cast<float>(std::uint32_t{x.bits} << 16); }

inline Float load(const float* from) {
  Float x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

inline Float load(const Float16* from) {
  Half half;
  __builtin_memcpy(&half, from, sizeof half);
  return __builtin_convertvector(half, Float);
}

inline Float load(const BFloat16* from) {
  HalfWord half;
  __builtin_memcpy(&half, from, sizeof half);
  return bit_cast<Float>(__builtin_convertvector(half, Word) << 16);
}

inline void store(float* to, Float x) { __builtin_memcpy(to, &x, sizeof x); }

inline void store(Float16* to, Float x) {
  const Half half = __builtin_convertvector(x, Half);
  __builtin_memcpy(to, &half, sizeof half);
}

// Rounds to nearest, ties to even.
inline void store(BFloat16* to, Float x) {
#ifdef __AVX512BF16__
  const auto half = _mm512_cvtneps_pbh(x);
#else
  const Word bits = bit_cast<Word>(x);
  const Word rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  // Adding would carry a nan's bits over into a number.
  const HalfWord half = __builtin_convertvector(x == x ? rounded : (bits >> 16) | 0x40, HalfWord);
#endif
  __builtin_memcpy(to, &half, sizeof half);
}

// The first `count` lanes from memory, the others `fill`; and back.
template <class Logit>
Float load_some(const Logit* from, int count, float fill) {
  Float x = broadcast(fill);
  for (int i = 0; i < count; ++i) x[i] = to_float(from[i]);
  return x;
}

template <class Logit>
void store_some(Logit* to, int count, Float x) {
  Logit all[kLanes];
  store(all, x);
  __builtin_memcpy(to, all, count * sizeof(Logit));
}

// e^r for |r| <= ln 2 / 2, relative error under 2e-7: 1 + r + r^2 q(r), q of least largest error.
inline Float exp_small(Float r) {
  Float p = broadcast(8.3125252e-3f);
  p = p * r + 4.1890115e-2f;
  p = p * r + 1.6667114e-1f;
  p = p * r + 4.9999231e-1f;
  p = p * r + 1.0f;
  return p * r + 1.0f;
}

// e^x for x <= 0; 0 below -105. x = n ln 2 + r.
inline Float exp_nonpositive(Float x) {
#ifdef __AVX512BF16__
  constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns of the forms without a mask
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  const Float n = _mm512_maskz_roundscale_ps(kAll, x * 1.44269504f, kNearest);
#else
  const Int tiny = x < -87.33654f;  // below the smallest normal float
  x = tiny ? broadcast(-87.0f) : x;
  const Float shift = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Float n = (x * 1.44269504f + shift) - shift;
#endif
  const Float p = exp_small((x - n * 0.693359375f) - n * -2.12194440e-4f);
#ifdef __AVX512BF16__
  return _mm512_maskz_scalef_ps(kAll, p, n);
#else
  const Int exponent = (__builtin_convertvector(n, Int) + 127) << 23;
  return tiny ? Float{} : p * bit_cast<Float>(exponent);
#endif
}

// Exponents low enough for e^x = 0 become -105, so that 0 times them is 0 also for -inf.
inline Float bounded(Float x) { return x < -105.0f ? broadcast(-105.0f) : x; }

inline float sum(Float x) {
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

}  // namespace
}  // namespace azr
