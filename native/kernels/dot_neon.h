// Integer dot products of one group with 128-bit registers; meaning: dot_scalar.h. Three targets share this file:
// `neon` multiplies in int16 and int32 (below), `neondot` and `neoni8mm` in the files it includes at the end.

struct I16 {
  int32x4_t v[4];   // rows 4i..4i+3
};
inline V16 to_float(I16 a) {
  return {{vcvtq_f32_s32(a.v[0]), vcvtq_f32_s32(a.v[1]), vcvtq_f32_s32(a.v[2]), vcvtq_f32_s32(a.v[3])}};
}

// Takes the zero point off the finished sums of one token.
template <bool kHalves, int kZero>
inline void take_off_zero(const int* x_sums, I16* sums) {
  if constexpr (kZero == 0) return;
  const int32x4_t zeros = vdupq_n_s32(kZero * (x_sums[0] + x_sums[1]));
  for (int i = 0; i < 4; ++i) sums[kHalves].v[i] = vsubq_s32(sums[kHalves].v[i], zeros);
}

// What two steps share in one byte: 16 cells at `both` and, for five bits, at `plane`.
template <Codes C>
inline int8x16_t nibble(uint8x16_t both, uint8x16_t plane, int step) {
  uint8x16_t code = step % 2 ? vshrq_n_u8(both, 4) : vandq_u8(both, vdupq_n_u8(15));
  if constexpr (C == Codes::u5) {   // a shift by a negative count is one to the right
    uint8x16_t fifth = vshlq_u8(plane, vdupq_n_s8((signed char)(4 - step)));
    code = vorrq_u8(code, vandq_u8(fifth, vdupq_n_u8(16)));
  }
  return vreinterpretq_s8_u8(code);
}

// Codes of rows 4i..4i+3 in one step: four columns of each row side by side.
template <Codes C, bool kUnpacked>
inline int8x16_t load_codes(const unsigned char* group, int step, int i) {
  if constexpr (C == Codes::s8 || kUnpacked) return vreinterpretq_s8_u8(vld1q_u8(group + step * kStepBytes + 16 * i));
  uint8x16_t both = vld1q_u8(group + step / 2 * kStepBytes + 16 * i), plane = both;
  if constexpr (C == Codes::u5) plane = vld1q_u8(group + 4 * kStepBytes + 16 * i);
  return nibble<C>(both, plane, step);
}

template <Codes C>
inline void unpack(const unsigned char* group, unsigned char* to) {
#pragma GCC unroll 8
  for (int step = 0; step < kSteps; ++step)
    for (int i = 0; i < 4; ++i)
      vst1q_u8(to + step * kStepBytes + 16 * i, vreinterpretq_u8_s8(load_codes<C, false>(group, step, i)));
}

#ifdef __ARM_FEATURE_DOTPROD
#include "dot_neon_bytes.h"
#else
#include "dot_neon_wide.h"
#endif
