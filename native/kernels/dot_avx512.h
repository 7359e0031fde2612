#ifndef GW_VNNI
#define GW_VNNI 0
#endif
// Integer dot products of one group with 512-bit registers, with VNNI (GW_VNNI 1) or without; meaning: dot_scalar.h.
//
// vpdpbusd multiplies unsigned by signed bytes and adds four products in int32. Signed codes are shifted by 128 into
// unsigned ones; what that adds, like the zero point of symmetric formats, is taken off through the start value.

struct I16 {
  __m512i v;
};
inline V16 to_float(I16 a) { return {_mm512_cvtepi32_ps(a.v)}; }

constexpr int kTokens = 8, kTokensWide = 4;

template <Codes C, bool kUnpacked>
inline __m512i load_step(const unsigned char* group, int step) {
  if constexpr (C == Codes::s8 || kUnpacked) return _mm512_loadu_si512(group + step * kStepBytes);
  __m512i both = _mm512_loadu_si512(group + (step / 2) * kStepBytes);
  __m512i code = _mm512_and_si512(step % 2 ? _mm512_srli_epi16(both, 4) : both, _mm512_set1_epi8(15));
  if constexpr (C == Codes::u5) {
    __m512i plane = _mm512_loadu_si512(group + 4 * kStepBytes);
    __m512i moved = step < 4 ? _mm512_slli_epi16(plane, step < 4 ? 4 - step : 0) : _mm512_srli_epi16(plane, step < 4 ? 0 : step - 4);
    code = _mm512_or_si512(code, _mm512_and_si512(moved, _mm512_set1_epi8(16)));
  }
  return code;
}

template <Codes C>
inline void unpack(const unsigned char* group, unsigned char* to) {
#pragma GCC unroll 8
  for (int step = 0; step < kSteps; ++step) {
    __m512i codes = load_step<C, false>(group, step);
    _mm512_storeu_si512(to + step * kStepBytes, codes);
  }
}

// acc + four products of each 32-bit lane.
template <Codes C>
inline __m512i multiply_add(__m512i acc, __m512i w, __m512i x) {
#if GW_VNNI
  return _mm512_dpbusd_epi32(acc, C == Codes::s8 ? _mm512_xor_si512(w, _mm512_set1_epi8(-128)) : w, x);
#else
  if constexpr (C == Codes::s8) {       // |w| and x with w's sign, as on AVX2
    x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
    w = _mm512_abs_epi8(w);
  }
  return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
#endif
}

template <Codes C, bool kUnpacked, bool kHalves, int kZero, int NT>
inline void dot(const unsigned char* group, const int8_t* const* x, const int* const* x_sums, I16 (*sums)[2]) {
  constexpr int kShift = kZero + (GW_VNNI && C == Codes::s8 ? 128 : 0);
  __m512i acc[NT];
  for (int t = 0; t < NT; ++t) acc[t] = _mm512_set1_epi32(-kShift * (kHalves ? x_sums[t][0] : x_sums[t][0] + x_sums[t][1]));
#pragma GCC unroll 8
  for (int step = 0; step < kSteps; ++step) {
    __m512i w = load_step<C, kUnpacked>(group, step);
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t) {
      int four;
      __builtin_memcpy(&four, x[t] + step * kStep, 4);
      acc[t] = multiply_add<C>(acc[t], w, _mm512_set1_epi32(four));
    }
    if (kHalves && step == kSteps / 2 - 1)
      for (int t = 0; t < NT; ++t) {
        sums[t][0].v = acc[t];
        acc[t] = _mm512_set1_epi32(-kShift * x_sums[t][1]);
      }
  }
  for (int t = 0; t < NT; ++t) sums[t][kHalves ? 1 : 0].v = acc[t];
}

template <Codes C>
inline __m512i widen(__m256i codes) { return C == Codes::s8 ? _mm512_cvtepi8_epi16(codes) : _mm512_cvtepu8_epi16(codes); }

inline __m512i multiply_add_wide(__m512i acc, __m512i w, __m512i x) {
#if GW_VNNI
  return _mm512_dpwssd_epi32(acc, w, x);
#else
  return _mm512_add_epi32(acc, _mm512_madd_epi16(w, x));
#endif
}

// Pair sums of rows 0-7 and 8-15, added and put in order.
inline I16 fold(__m512i a, __m512i b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return {_mm512_add_epi32(_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b))};
}

template <Codes C, bool kUnpacked, bool kHalves, int kZero, int NT>
inline void dot(const unsigned char* group, const int16_t* const* x, const int* const* x_sums, I16 (*sums)[2]) {
  __m512i acc[NT][2];
  for (int t = 0; t < NT; ++t) acc[t][0] = acc[t][1] = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int step = 0; step < kSteps; ++step) {
    __m512i w = load_step<C, kUnpacked>(group, step);
    __m512i rows[2] = {widen<C>(_mm512_castsi512_si256(w)), widen<C>(_mm512_extracti64x4_epi64(w, 1))};
    for (int t = 0; t < NT; ++t) {
      long long four;
      __builtin_memcpy(&four, x[t] + step * kStep, 8);
      __m512i xs = _mm512_set1_epi64(four);
      for (int i = 0; i < 2; ++i) acc[t][i] = multiply_add_wide(acc[t][i], rows[i], xs);
    }
    if (kHalves && step == kSteps / 2 - 1)
      for (int t = 0; t < NT; ++t) {
        sums[t][0] = fold(acc[t][0], acc[t][1]);
        acc[t][0] = acc[t][1] = _mm512_setzero_si512();
      }
  }
  for (int t = 0; t < NT; ++t) {
    I16 total = fold(acc[t][0], acc[t][1]);
    if constexpr (kZero != 0) total.v = _mm512_sub_epi32(total.v, _mm512_set1_epi32(kZero * (x_sums[t][0] + x_sums[t][1])));
    sums[t][kHalves ? 1 : 0] = total;
  }
}
