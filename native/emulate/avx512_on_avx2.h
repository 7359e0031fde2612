// AVX-512 intrinsics computed with AVX2 instructions, so that the AVX-512 kernels can be proven on CPUs without them.
// Only `make check-avx512` uses it; needs SIMDe (Debian package libsimde-dev). Slow, but the same bits.
#pragma once
#include <immintrin.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

// SIMDe 0.7.4 maps this one to its masked form by mistake.
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 emulated_madd_epi16
inline __m512i emulated_madd_epi16(__m512i a, __m512i b) {
  __m256i x[2], y[2];
  __builtin_memcpy(x, &a, 64);
  __builtin_memcpy(y, &b, 64);
  for (int i = 0; i < 2; ++i) x[i] = _mm256_madd_epi16(x[i], y[i]);
  __builtin_memcpy(&a, x, 64);
  return a;
}

// SIMDe 0.7.4 lacks the following.
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
inline __m512 emulated_maskz_loadu_ps(__mmask16 mask, const void* p) {
  float all[16];
  __m512 r;
  for (int i = 0; i < 16; ++i) all[i] = mask >> i & 1 ? ((const float*)p)[i] : 0.0f;
  __builtin_memcpy(&r, all, 64);
  return r;
}

#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
inline void emulated_mask_storeu_ps(void* p, __mmask16 mask, __m512 a) {
  float all[16];
  __builtin_memcpy(all, &a, 64);
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) ((float*)p)[i] = all[i];
}

#define _mm512_cvtph_ps emulated_cvtph_ps
inline __m512 emulated_cvtph_ps(__m256i a) {
  __m256 all[2] = {_mm256_cvtph_ps(_mm256_castsi256_si128(a)), _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1))};
  __m512 r;
  __builtin_memcpy(&r, all, 64);
  return r;
}

#define _mm512_srl_epi32 emulated_srl_epi32
#define _mm512_sll_epi32 emulated_sll_epi32
template <bool kLeft>
inline __m512i emulated_shift(__m512i a, __m128i count) {
  __m256i all[2];
  __builtin_memcpy(all, &a, 64);
  for (__m256i& x : all) x = kLeft ? _mm256_sll_epi32(x, count) : _mm256_srl_epi32(x, count);
  __builtin_memcpy(&a, all, 64);
  return a;
}
inline __m512i emulated_srl_epi32(__m512i a, __m128i count) { return emulated_shift<false>(a, count); }
inline __m512i emulated_sll_epi32(__m512i a, __m128i count) { return emulated_shift<true>(a, count); }

// One 512-bit operation as two 256-bit ones: `from` tells the type of the argument, `half` what each half becomes.
template <class To, class From, class Half>
inline To emulated_halves(From a, Half half) {
  constexpr int bytes = sizeof(From) / 2;
  To r;
  for (int i = 0; i < 2; ++i) {
    decltype(half(0, a)) part = half(i * bytes, a);
    __builtin_memcpy((char*)&r + 32 * i, &part, 32);
  }
  return r;
}
template <class To, class From>
inline To emulated_part(const From& a, int at) {
  To r;
  __builtin_memcpy(&r, (const char*)&a + at, sizeof(To));
  return r;
}
#define EMULATED_UNARY(name, to, from, half_type, instruction)                                                            \
  inline to emulated_##name(from a) {                                                                                     \
    return emulated_halves<to>(a, [](int at, from x) { return instruction(emulated_part<half_type>(x, at)); });           \
  }
inline __m256i emulated_low8_epu8(long long x) { return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(x)); }
inline __m256i emulated_low8_epi8(long long x) { return _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(x)); }
EMULATED_UNARY(cvtepi32_ps, __m512, __m512i, __m256i, _mm256_cvtepi32_ps)
EMULATED_UNARY(cvtps_epi32, __m512i, __m512, __m256, _mm256_cvtps_epi32)
EMULATED_UNARY(cvtepu16_epi32, __m512i, __m256i, __m128i, _mm256_cvtepu16_epi32)
EMULATED_UNARY(cvtepu8_epi16, __m512i, __m256i, __m128i, _mm256_cvtepu8_epi16)
EMULATED_UNARY(cvtepu8_epi32, __m512i, __m128i, long long, emulated_low8_epu8)
EMULATED_UNARY(cvtepi8_epi32, __m512i, __m128i, long long, emulated_low8_epi8)
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepu8_epi16 emulated_cvtepu8_epi16
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32

#define _mm512_extractf32x8_ps(a, i) emulated_part<__m256>(a, 32 * (i))
#define _mm512_srai_epi32(a, n) \
  emulated_halves<__m512i>(a, [](int at, __m512i x) { return _mm256_srai_epi32(emulated_part<__m256i>(x, at), n); })

EMULATED_UNARY(cvttps_epi32, __m512i, __m512, __m256, _mm256_cvttps_epi32)
#define _mm512_cvttps_epi32 emulated_cvttps_epi32

// Quarters of 128 bits: two of `a` by the low four bits of `which`, two of `b` by the high ones.
inline __m512 emulated_shuffle_f32x4(__m512 a, __m512 b, int which) {
  __m128 from_a[4], from_b[4], r[4];
  __builtin_memcpy(from_a, &a, 64);
  __builtin_memcpy(from_b, &b, 64);
  for (int i = 0; i < 4; ++i) r[i] = (i < 2 ? from_a : from_b)[which >> (2 * i) & 3];
  __builtin_memcpy(&a, r, 64);
  return a;
}
inline __m512 emulated_permute_ps(__m512 a, int which) {
  float all[16], r[16];
  __builtin_memcpy(all, &a, 64);
  for (int i = 0; i < 16; ++i) r[i] = all[i / 4 * 4 + (which >> (2 * (i % 4)) & 3)];
  __builtin_memcpy(&a, r, 64);
  return a;
}
#define _mm512_shuffle_f32x4 emulated_shuffle_f32x4
#define _mm512_permute_ps emulated_permute_ps

inline __m256i emulated_cvtps_ph(__m512 a) {
  __m256 all[2];
  __builtin_memcpy(all, &a, 64);
  return _mm256_set_m128i(_mm256_cvtps_ph(all[1], _MM_FROUND_TO_NEAREST_INT), _mm256_cvtps_ph(all[0], _MM_FROUND_TO_NEAREST_INT));
}
#define _mm512_cvtps_ph(a, rounding) emulated_cvtps_ph(a)

template <class V, class T>
inline V emulated_compress(unsigned mask, V a) {
  T all[16], r[16] = {};
  __builtin_memcpy(all, &a, 64);
  for (int i = 0, n = 0; i < 16; ++i)
    if (mask >> i & 1) r[n++] = all[i];
  __builtin_memcpy(&a, r, 64);
  return a;
}
#define _mm512_maskz_compress_ps(mask, a) emulated_compress<__m512, float>(mask, a)
#define _mm512_maskz_compress_epi32(mask, a) emulated_compress<__m512i, int>(mask, a)
