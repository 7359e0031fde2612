// One block of 32 floats (or a super-block of 256) to codes and scales, by search for the smallest squared error.
//
// A search tries a few scales, takes the codes nearest to the values, and improves the best of them by least squares:
// for given codes the best scale is sum(x c) / sum(c c). The plain scale from the largest magnitude is always among
// those tried, so the search is never worse than it. Sums have eight partial sums in a fixed order.
#pragma once
#include <algorithm>
#include <cmath>

#include "float_bits.h"
#include "packed.h"

namespace gw {

struct Centred {   // x = scale * code
  float error;
  uint16_t scale;
  int8_t codes[kGroup];
};

struct Affine {    // x = scale * code + offset
  float error, scale, offset;
  uint8_t codes[kGroup];
};

// Eight floats side by side; the compiler turns them into whatever registers there are.
typedef float F8 __attribute__((vector_size(32)));

GW_INLINE F8 load8(const float* p) { F8 v; std::memcpy(&v, p, 32); return v; }
// x to the nearest whole number within low..high, ties to even; |low|, |high| < 2^22.
GW_INLINE F8 to_code(F8 x, float low, float high) {
  x = x < low ? F8{} + low : x;
  x = x > high ? F8{} + high : x;
  return (x + 12582912.0f) - 12582912.0f;   // 1.5 * 2^23
}
GW_INLINE float sum8(F8 v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

GW_INLINE float sum_of_squares(const float* x) {
  F8 sum{};
  for (int i = 0; i < kGroup; i += 8) sum += load8(x + i) * load8(x + i);
  return sum8(sum);
}

// Codes for `scale` as f16 can hold it; kept in `best` if their error is smaller. Returns the least-squares scale.
template <int kLow, int kHigh>
GW_INLINE float try_scale(const float* x, float scale, Centred& best) {
  const uint16_t half = half_bits(scale);
  const float d = half_value(half), inverse = 1.0f / d;
  if (d == 0 || !(std::fabs(d) <= 65504.0f)) return 0;
  F8 codes[kGroup / 8], miss{}, xc{}, cc{};
  for (int i = 0; i < kGroup / 8; ++i) {
    F8 v = load8(x + 8 * i), code = to_code(v * inverse, kLow, kHigh), off = v - d * code;
    codes[i] = code;
    miss += off * off;
    xc += v * code;
    cc += code * code;
  }
  const float error = sum8(miss), squares = sum8(cc);
  if (error < best.error) {
    best.error = error;
    best.scale = half;
    for (int i = 0; i < kGroup; ++i) best.codes[i] = (int8_t)codes[i / 8][i % 8];
  }
  return squares > 0 ? sum8(xc) / squares : 0;
}

// The best of plain, a few coarser and finer scales of either sign, and least squares from the best of them.
template <int kLow, int kHigh>
GW_INLINE Centred search_centred(const float* x) {
  float extreme = 0;
  for (int i = 0; i < kGroup; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  Centred best{sum_of_squares(x), 0, {}};   // all zeros, until something is better
  float refined = try_scale<kLow, kHigh>(x, extreme / (float)kLow, best);
  constexpr float kStep = kHigh > 100 ? 0.0f : (float)-kLow / 16.0f;   // at eight bits clipping never pays
  if (kStep > 0)
    for (int j = -5; j <= 3; ++j)
      for (float sign : {-1.0f, 1.0f}) {
        float before = best.error, next = try_scale<kLow, kHigh>(x, extreme / (sign * ((float)-kLow + (float)j * kStep)), best);
        if (best.error < before) refined = next;
      }
  for (int round = 0; round < 2 && refined != 0; ++round) {
    float before = best.error, next = try_scale<kLow, kHigh>(x, refined, best);
    if (!(best.error < before)) break;
    refined = next;
  }
  return best;
}

// Codes 0..15 for x = scale * code + offset; kept in `best` if their error is smaller. Updates scale and offset to the
// least-squares line through the codes.
GW_INLINE void try_line(const float* x, float& scale, float& offset, Affine& best) {
  if (!(scale > 0)) return;
  const float inverse = 1.0f / scale;
  F8 codes[kGroup / 8], miss{}, xs{}, cs{}, xc{}, cc{};
  for (int i = 0; i < kGroup / 8; ++i) {
    F8 v = load8(x + 8 * i), code = to_code((v - offset) * inverse, 0, 15), off = v - (scale * code + offset);
    codes[i] = code;
    miss += off * off;
    xs += v;
    cs += code;
    xc += v * code;
    cc += code * code;
  }
  const float error = sum8(miss);
  if (error < best.error) {
    best.error = error;
    best.scale = scale;
    best.offset = offset;
    for (int i = 0; i < kGroup; ++i) best.codes[i] = (uint8_t)codes[i / 8][i % 8];
  }
  const float n = kGroup, sx = sum8(xs), sc = sum8(cs), determinant = n * sum8(cc) - sc * sc;
  if (!(determinant > 0)) { scale = 0; return; }
  scale = (n * sum8(xc) - sx * sc) / determinant;
  offset = (sx - scale * sc) / n;
}

// The best line with offset <= 0, which is what q4_k can store (minus a positive minimum).
GW_INLINE Affine search_line(const float* x) {
  float low = 0, high = 0;
  for (int i = 0; i < kGroup; ++i) { low = std::min(low, x[i]); high = std::max(high, x[i]); }
  Affine best{sum_of_squares(x), 0, 0, {}};
  for (int j = 0; j <= 6; ++j) {
    float scale = (high - low) / (15.0f + (j == 0 ? 0.0f : (float)(j - 4) * 0.5f)), offset = low;
    for (int round = 0; round < 3; ++round) {
      float before = best.error;
      try_line(x, scale, offset, best);
      offset = std::min(offset, 0.0f);
      if (round > 0 && !(best.error < before)) break;
    }
  }
  return best;
}

}  // namespace gw
