// Integer dot products of one group with 256-bit registers; meaning: dot_scalar.h.
//
// int8: vpmaddubsw multiplies unsigned by signed bytes into int16 pairs. Codes of 4 to 6 bits leave room to add several
// pairs in int16 before widening: 8 steps x 2 x 15 x 127, 4 x 2 x 31 x 127 and 2 x 2 x 63 x 127 are below 32,768. Signed
// 8-bit codes use |w| and x with w's sign, and widen at once (2 x 128 x 127 just fits).
// int16: codes widened to int16, vpmaddwd.

struct I16 {
  __m256i lo, hi;
};
inline V16 to_float(I16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }

constexpr int kTiles = 1, kTokens = 4, kTokensWide = 2;
constexpr int kFew = 4, kFewWide = 2;   // tokens of a block of the few-token path, one tile
constexpr int kFloatTokens = 4;
constexpr int kShift = 0;
constexpr bool kPlanes = false;

// Keeps the compiler from mixing one step's work with the next: without it the sums of all steps are alive at once and
// most of them live on the stack (Q5_0, 256 tokens, one Zen 3 thread: 49 GMAC/s instead of 86).
inline void settle(__m256i& a) { asm volatile("" : "+x"(a)); }

inline __m256i load256(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }

// Bits number `bit` of the codes of step `step`, at their place, from the plane of 32 cells.
GW_INLINE __m256i bits_of_plane(__m256i plane, int step, int bit) {
  __m256i moved = step < bit ? _mm256_slli_epi16(plane, bit - step) : _mm256_srli_epi16(plane, step - bit);
  return _mm256_and_si256(moved, _mm256_set1_epi8((char)(1 << bit)));
}

template <Codes C, bool kUnpacked>
GW_INLINE __m256i load_step(const unsigned char* group, int step, int half) {
  if constexpr (C == Codes::s8 || kUnpacked) return load256(group + step * kStepBytes + 32 * half);
  __m256i both = load256(group + (step / 2) * kStepBytes + 32 * half);
  __m256i code = _mm256_and_si256(step % 2 ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
  for (int i = 0; i < planes(C); ++i) code = _mm256_or_si256(code, bits_of_plane(load256(group + (4 + i) * kStepBytes + 32 * half), step, 4 + i));
  return code;
}

template <Codes C, int kCount = kSteps>
inline void unpack(const unsigned char* group, unsigned char* to) {
#pragma GCC unroll 8
  for (int step = 0; step < kCount; ++step)
    for (int half = 0; half < 2; ++half)
      _mm256_storeu_si256((__m256i*)(to + step * kStepBytes + 32 * half), load_step<C, false>(group, step, half));
}

template <Codes C, bool kUnpacked, int kFirst, int kCount, int NT>
GW_INLINE void dot_bytes(const unsigned char* group, const signed char* const* x, __m256i (*wide)[2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  constexpr int kMost = C == Codes::s8 ? 1 : C == Codes::u6 ? 2 : C == Codes::u5 ? 4 : 8, kRun = kMost < kCount ? kMost : kCount;   // steps added in int16
  __m256i run[NT][2];
  for (int t = 0; t < NT; ++t) run[t][0] = run[t][1] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int step = 0; step < kCount; ++step) {
    __m256i w0 = load_step<C, kUnpacked>(group, kFirst + step, 0), w1 = load_step<C, kUnpacked>(group, kFirst + step, 1);
    __m256i size0 = w0, size1 = w1;
    if constexpr (C == Codes::s8) { size0 = _mm256_abs_epi8(w0); size1 = _mm256_abs_epi8(w1); }
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t) {
      int four;
      __builtin_memcpy(&four, x[t] + (kFirst + step) * kStep, 4);
      __m256i xs = _mm256_set1_epi32(four), x0 = xs, x1 = xs;
      if constexpr (C == Codes::s8) { x0 = _mm256_sign_epi8(xs, w0); x1 = _mm256_sign_epi8(xs, w1); }
      __m256i p0 = _mm256_maddubs_epi16(size0, x0), p1 = _mm256_maddubs_epi16(size1, x1);
      run[t][0] = step % kRun ? _mm256_add_epi16(run[t][0], p0) : p0;
      run[t][1] = step % kRun ? _mm256_add_epi16(run[t][1], p1) : p1;
      settle(run[t][0]);
      settle(run[t][1]);
      if (step % kRun == kRun - 1) {
        wide[t][0] = _mm256_add_epi32(wide[t][0], _mm256_madd_epi16(run[t][0], ones));
        wide[t][1] = _mm256_add_epi32(wide[t][1], _mm256_madd_epi16(run[t][1], ones));
      }
    }
  }
}

// Codes of four rows (a quarter of a step) as int16; the pair sums of a row will lie side by side.
template <Codes C>
inline __m256i widen(__m128i codes) { return C == Codes::s8 ? _mm256_cvtepi8_epi16(codes) : _mm256_cvtepu8_epi16(codes); }

template <Codes C, bool kUnpacked>
inline void load_wide(const unsigned char* group, int step, __m256i* rows) {
  if constexpr (C == Codes::s8 || kUnpacked) {
    for (int i = 0; i < 4; ++i) rows[i] = widen<C>(_mm_loadu_si128((const __m128i*)(group + step * kStepBytes + 16 * i)));
  } else {
    for (int half = 0; half < 2; ++half) {
      __m256i w = load_step<C, kUnpacked>(group, step, half);
      rows[2 * half] = widen<C>(_mm256_castsi256_si128(w));
      rows[2 * half + 1] = widen<C>(_mm256_extracti128_si256(w, 1));
    }
  }
}

template <Codes C, bool kUnpacked, int kFirst, int kCount, int NT>
GW_INLINE void dot_words(const unsigned char* group, const signed char* const* x, __m256i (*wide)[2]) {
  __m256i acc[NT][4];
  for (int t = 0; t < NT; ++t)
    for (int i = 0; i < 4; ++i) acc[t][i] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int step = kFirst; step < kFirst + kCount; ++step) {
    __m256i rows[4];
    load_wide<C, kUnpacked>(group, step, rows);
    for (int t = 0; t < NT; ++t) {
      long long four;
      __builtin_memcpy(&four, x[t] + 2 * step * kStep, 8);
      __m256i xs = _mm256_set1_epi64x(four);
      for (int i = 0; i < 4; ++i) {
        acc[t][i] = _mm256_add_epi32(acc[t][i], _mm256_madd_epi16(rows[i], xs));
        settle(acc[t][i]);
      }
    }
  }
  for (int t = 0; t < NT; ++t)
    for (int half = 0; half < 2; ++half) {   // pair sums of a row, added and put in order
      __m256i rows = _mm256_permute4x64_epi64(_mm256_hadd_epi32(acc[t][2 * half], acc[t][2 * half + 1]), 0xD8);
      wide[t][half] = _mm256_add_epi32(wide[t][half], rows);
    }
}

template <Codes C, bool kUnpacked, bool kWide, int kFirst, int kCount, int P, int NT, bool kOnto = false>
GW_INLINE void dot(const unsigned char* const* codes, const signed char* const* x, size_t, const int* const* start, I16 (*sums)[P]) {
  for (int p = 0; p < P; ++p) {
    __m256i acc[NT][2];
    for (int t = 0; t < NT; ++t) {
      acc[t][0] = kOnto ? sums[t][p].lo : start ? _mm256_set1_epi32(*start[t]) : _mm256_setzero_si256();
      acc[t][1] = kOnto ? sums[t][p].hi : acc[t][0];
    }
    if constexpr (kWide) dot_words<C, kUnpacked, kFirst, kCount, NT>(codes[p], x, acc);
    else dot_bytes<C, kUnpacked, kFirst, kCount, NT>(codes[p], x, acc);
    for (int t = 0; t < NT; ++t) sums[t][p] = {acc[t][0], acc[t][1]};
  }
}

inline I16 times16_plus(I16 a, int x) {
  const __m256i b = _mm256_set1_epi32(x);
  return {_mm256_add_epi32(_mm256_slli_epi32(a.lo, 4), b), _mm256_add_epi32(_mm256_slli_epi32(a.hi, 4), b)};
}

// Sixteen bytes of low halves (columns i and 16 + i of a group) times 32 activations.
inline int dot_halves(const unsigned char* low, const signed char* x) {
  __m128i bytes = _mm_loadu_si128((const __m128i*)low);
  __m256i half = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), _mm256_set1_epi8(15));
  __m256i four = _mm256_madd_epi16(_mm256_maddubs_epi16(half, load256(x)), _mm256_set1_epi16(1));
  __m128i two = _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
  two = _mm_add_epi32(two, _mm_shuffle_epi32(two, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

#include "join_halves.h"
