// Dot products for CPUs that multiply bytes four (sdot) or eight (smmla, dot_neon_pairs.h) at a time.
//
// The packed layout is sdot's own: four columns of a row fill a 32-bit lane. Activations of 16 bits are two bytes,
// x = 256 high + low, so they cost two dot products; that is still half of what int16 instructions cost. The low byte is
// unsigned. Without instructions for mixed signs it is taken as low - 128, and 128 times the sum of the codes is added.

constexpr int kTokens = 8, kTokensWide = 4;

// Sixteen columns of one token: their bytes, or the high bytes and then the low ones.
inline void split(const int8_t* x, int8x16_t* parts) { parts[0] = vld1q_s8(x); }
inline void split(const int16_t* x, int8x16_t* parts) {
  int16x8_t a = vld1q_s16(x), b = vld1q_s16(x + 8);
  parts[0] = vshrn_high_n_s16(vshrn_n_s16(a, 8), b, 8);
  parts[1] = vmovn_high_s16(vmovn_s16(a), b);
#ifndef __ARM_FEATURE_MATMUL_INT8
  parts[1] = veorq_s8(parts[1], vdupq_n_s8(-128));
#endif
}

// acc + codes . x, four columns to a lane; part 1 holds low bytes.
template <int kPart, int kLane>
inline int32x4_t multiply_add(int32x4_t acc, int8x16_t codes, int8x16_t x) {
#ifdef __ARM_FEATURE_MATMUL_INT8
  if constexpr (kPart == 1) return vsudotq_laneq_s32(acc, codes, vreinterpretq_u8_s8(x), kLane);
#endif
  return vdotq_laneq_s32(acc, codes, x, kLane);
}

// Sums of four rows: one for each part and token, and the sum of the codes where low bytes need it.
template <int kParts, int NT>
struct RowSums {
  int32x4_t part[kParts][NT], codes;

  inline void clear() {
    codes = vdupq_n_s32(0);
    for (int p = 0; p < kParts; ++p)
      for (int t = 0; t < NT; ++t) part[p][t] = codes;
  }
  template <int kLane>
  inline void add(int8x16_t w, const int8x16_t (*x)[kParts]) {
    for (int t = 0; t < NT; ++t) {
      part[0][t] = multiply_add<0, kLane>(part[0][t], w, x[t][0]);
      if constexpr (kParts == 2) part[1][t] = multiply_add<1, kLane>(part[1][t], w, x[t][1]);
    }
#ifndef __ARM_FEATURE_MATMUL_INT8
    if constexpr (kParts == 2) codes = vdotq_s32(codes, w, vdupq_n_s8(1));
#endif
  }
  inline int32x4_t total(int t) const {
    if constexpr (kParts == 1) return part[0][t];
    int32x4_t sum = vaddq_s32(vshlq_n_s32(part[0][t], 8), part[kParts - 1][t]);
#ifndef __ARM_FEATURE_MATMUL_INT8
    sum = vaddq_s32(sum, vshlq_n_s32(codes, 7));
#endif
    return sum;
  }
};

// Rows are taken four at a time, so that the activations of the whole group stay in registers.
template <Codes C, bool kUnpacked, bool kHalves, int NT, class X>
inline void dot_single(const unsigned char* group, const X* const* x, I16 (*sums)[2]) {
  constexpr int kParts = sizeof(X);
  int8x16_t xs[2][NT][kParts];
  for (int half = 0; half < 2; ++half)
    for (int t = 0; t < NT; ++t) split(x[t] + 16 * half, xs[half][t]);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    RowSums<kParts, NT> rows;
    rows.clear();
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      rows.template add<0>(load_codes<C, kUnpacked>(group, 4 * half, i), xs[half]);
      rows.template add<1>(load_codes<C, kUnpacked>(group, 4 * half + 1, i), xs[half]);
      rows.template add<2>(load_codes<C, kUnpacked>(group, 4 * half + 2, i), xs[half]);
      rows.template add<3>(load_codes<C, kUnpacked>(group, 4 * half + 3, i), xs[half]);
      if (half == 0 && !kHalves) continue;
      for (int t = 0; t < NT; ++t) sums[t][kHalves ? half : 0].v[i] = rows.total(t);
      rows.clear();
    }
  }
}

#ifdef __ARM_FEATURE_MATMUL_INT8
#include "dot_neon_pairs.h"
#endif

template <Codes C, bool kUnpacked, bool kHalves, int kZero, int NT, class X>
inline void dot(const unsigned char* group, const X* const* x, const int* const* x_sums, I16 (*sums)[2]) {
#ifdef __ARM_FEATURE_MATMUL_INT8
  if constexpr (NT % 2 == 0 && (NT > 2 || sizeof(X) == 2)) dot_pairs<C, kUnpacked, kHalves, NT>(group, x, sums);
  else dot_single<C, kUnpacked, kHalves, NT>(group, x, sums);
#else
  dot_single<C, kUnpacked, kHalves, NT>(group, x, sums);
#endif
  for (int t = 0; t < NT; ++t) take_off_zero<kHalves, kZero>(x_sums[t], sums[t]);
}
