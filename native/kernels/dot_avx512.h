#ifndef GW_VNNI
#define GW_VNNI 0
#endif
// Integer dot products with 512-bit registers, with VNNI (GW_VNNI 1) or without; meaning: dot_scalar.h.
//
// vpdpbusd multiplies unsigned by signed bytes and adds four products in int32. Signed codes are shifted by 128 into
// unsigned ones. int16 activations are two planes of bytes, 256 hi + lo, and two such products; without VNNI they are
// int16 and vpmaddwd.

struct I16 {
  __m512i v;
};
inline V16 to_float(I16 a) { return {_mm512_cvtepi32_ps(a.v)}; }

// Two tiles by six tokens: 12 sums and 12 results in registers; a broadcast of four activations serves two tiles.
constexpr int kTiles = 2, kTokens = 6, kTokensWide = GW_VNNI ? 6 : 4;
constexpr int kFew = 8, kFewWide = GW_VNNI ? 8 : 4;   // tokens of a block of the few-token path, one tile
constexpr int kFloatTokens = 8;
constexpr int kShift = GW_VNNI ? 128 : 0;
constexpr bool kPlanes = GW_VNNI;

template <Codes C, bool kUnpacked>
GW_INLINE __m512i load_step(const unsigned char* group, int step) {
  if constexpr (C == Codes::s8) {
    __m512i w = _mm512_loadu_si512(group + step * kStepBytes);
    return GW_VNNI ? _mm512_xor_si512(w, _mm512_set1_epi8(-128)) : w;
  }
  if constexpr (kUnpacked) return _mm512_loadu_si512(group + step * kStepBytes);
  __m512i both = _mm512_loadu_si512(group + (step / 2) * kStepBytes);
  __m512i code = _mm512_and_si512(step % 2 ? _mm512_srli_epi16(both, 4) : both, _mm512_set1_epi8(15));
  for (int i = 0; i < planes(C); ++i) {
    __m512i plane = _mm512_loadu_si512(group + (4 + i) * kStepBytes);
    const int left = 4 + i - step;   // negative: to the right
    __m512i moved = left >= 0 ? _mm512_slli_epi16(plane, left >= 0 ? left : 0) : _mm512_srli_epi16(plane, left >= 0 ? 0 : -left);
    code = _mm512_or_si512(code, _mm512_and_si512(moved, _mm512_set1_epi8((char)(16 << i))));
  }
  return code;
}

template <Codes C, int kCount = kSteps>
inline void unpack(const unsigned char* group, unsigned char* to) {
#pragma GCC unroll 8
  for (int step = 0; step < kCount; ++step) _mm512_storeu_si512(to + step * kStepBytes, (load_step<C, false>(group, step)));
}

inline __m512i four(const signed char* x) {
  int bytes;
  __builtin_memcpy(&bytes, x, 4);
  return _mm512_set1_epi32(bytes);
}

// acc + four products of each 32-bit lane.
template <Codes C>
inline __m512i multiply_add(__m512i acc, __m512i w, __m512i x) {
#if GW_VNNI
  return _mm512_dpbusd_epi32(acc, w, x);
#else
  if constexpr (C == Codes::s8) {       // |w| and x with w's sign, as on AVX2
    x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
    w = _mm512_abs_epi8(w);
  }
  return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
#endif
}

template <Codes C, bool kUnpacked, int kFirst, int kCount, int P, int NT>
GW_INLINE void dot_bytes(const unsigned char* const* codes, const signed char* const* x, __m512i (*acc)[P]) {
  constexpr int kChains = P * NT == 1 ? 2 : 1;   // one sum alone would wait for itself at every step
  __m512i other = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int step = kFirst; step < kFirst + kCount; ++step) {
    __m512i w[P];
    for (int p = 0; p < P; ++p) w[p] = load_step<C, kUnpacked>(codes[p], step);
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t) {
      __m512i xs = four(x[t] + step * kStep);
      for (int p = 0; p < P; ++p) {
        __m512i& sum = kChains == 2 && step % 2 ? other : acc[t][p];
        sum = multiply_add<C>(sum, w[p], xs);
      }
    }
  }
  if constexpr (kChains == 2) acc[0][0] = _mm512_add_epi32(acc[0][0], other);
}

#if !GW_VNNI
template <Codes C>
inline __m512i widen(__m256i codes) { return C == Codes::s8 ? _mm512_cvtepi8_epi16(codes) : _mm512_cvtepu8_epi16(codes); }

// Pair sums of rows 0-7 and 8-15, added and put in order.
inline __m512i fold(__m512i a, __m512i b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_add_epi32(_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b));
}

template <Codes C, bool kUnpacked, int kFirst, int kCount, int P, int NT>
GW_INLINE void dot_words(const unsigned char* const* codes, const signed char* const* x, __m512i (*acc)[P]) {
  for (int p = 0; p < P; ++p) {
    __m512i pairs[NT][2];
    for (int t = 0; t < NT; ++t) pairs[t][0] = pairs[t][1] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int step = kFirst; step < kFirst + kCount; ++step) {
      __m512i w = load_step<C, kUnpacked>(codes[p], step);
      __m512i rows[2] = {widen<C>(_mm512_castsi512_si256(w)), widen<C>(_mm512_extracti64x4_epi64(w, 1))};
      for (int t = 0; t < NT; ++t) {
        long long words;
        __builtin_memcpy(&words, x[t] + 2 * step * kStep, 8);
        for (int i = 0; i < 2; ++i) pairs[t][i] = _mm512_add_epi32(pairs[t][i], _mm512_madd_epi16(rows[i], _mm512_set1_epi64(words)));
      }
    }
    for (int t = 0; t < NT; ++t) acc[t][p] = _mm512_add_epi32(acc[t][p], fold(pairs[t][0], pairs[t][1]));
  }
}
#endif

template <Codes C, bool kUnpacked, bool kWide, int kFirst, int kCount, int P, int NT, bool kOnto = false>
GW_INLINE void dot(const unsigned char* const* codes, const signed char* const* x, [[maybe_unused]] size_t plane, const int* const* start, I16 (*sums)[P]) {
  __m512i acc[NT][P];
  for (int t = 0; t < NT; ++t)
    for (int p = 0; p < P; ++p) acc[t][p] = kOnto ? sums[t][p].v : start ? _mm512_set1_epi32(*start[t]) : _mm512_setzero_si512();
  if constexpr (!kWide) {
    dot_bytes<C, kUnpacked, kFirst, kCount, P, NT>(codes, x, acc);
#if GW_VNNI
  } else {
    __m512i high[NT][P];
    for (int t = 0; t < NT; ++t)
      for (int p = 0; p < P; ++p) high[t][p] = _mm512_setzero_si512();
    if constexpr (kUnpacked) {
      const signed char* low[NT];
      for (int t = 0; t < NT; ++t) low[t] = x[t] + plane;
      dot_bytes<C, kUnpacked, kFirst, kCount, P, NT>(codes, x, high);
      dot_bytes<C, kUnpacked, kFirst, kCount, P, NT>(codes, low, acc);
    } else {   // codes take a few instructions: each step's are made once, for both planes
#pragma GCC unroll 8
      for (int step = kFirst; step < kFirst + kCount; ++step) {
        __m512i w[P];
        for (int p = 0; p < P; ++p) w[p] = load_step<C, kUnpacked>(codes[p], step);
#pragma GCC unroll 8
        for (int t = 0; t < NT; ++t) {
          const signed char* at = x[t] + step * kStep;
          for (int p = 0; p < P; ++p) {
            high[t][p] = multiply_add<C>(high[t][p], w[p], four(at));
            acc[t][p] = multiply_add<C>(acc[t][p], w[p], four(at + plane));
          }
        }
      }
    }
    for (int t = 0; t < NT; ++t)
      for (int p = 0; p < P; ++p) acc[t][p] = _mm512_add_epi32(acc[t][p], _mm512_slli_epi32(high[t][p], 8));
#else
  } else {
    dot_words<C, kUnpacked, kFirst, kCount, P, NT>(codes, x, acc);
#endif
  }
  for (int t = 0; t < NT; ++t)
    for (int p = 0; p < P; ++p) sums[t][p].v = acc[t][p];
}

inline I16 times16_plus(I16 a, int x) { return {_mm512_add_epi32(_mm512_slli_epi32(a.v, 4), _mm512_set1_epi32(x))}; }

// Sixteen bytes of low halves (columns i and 16 + i of a group) times 32 activations.
inline int dot_halves(const unsigned char* low, const signed char* x) {
  __m128i bytes = _mm_loadu_si128((const __m128i*)low);
  __m256i half = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), _mm256_set1_epi8(15));
  __m256i xs = _mm256_loadu_si256((const __m256i*)x);
#if GW_VNNI
  __m256i four = _mm256_dpbusd_epi32(_mm256_setzero_si256(), half, xs);
#else
  __m256i four = _mm256_madd_epi16(_mm256_maddubs_epi16(half, xs), _mm256_set1_epi16(1));
#endif
  __m128i two = _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
  two = _mm_add_epi32(two, _mm_shuffle_epi32(two, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

inline __m512i four_rows(const unsigned char* low, size_t stride) {   // one row in each quarter
  __m512i z = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i*)low));
  z = _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i*)(low + 4 * stride)), 1);
  z = _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i*)(low + 8 * stride)), 2);
  return _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i*)(low + 12 * stride)), 3);
}

// High halves of a group (as u4) and low ones (16 bytes of each of sixteen rows, `stride` apart) to signed codes.
inline void join_halves(const unsigned char* high, const unsigned char* low, size_t stride, unsigned char* to) {
  __m512i a = four_rows(low, stride), b = four_rows(low + stride, stride), c = four_rows(low + 2 * stride, stride), d = four_rows(low + 3 * stride, stride);
  __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d), ab2 = _mm512_unpackhi_epi32(a, b), cd2 = _mm512_unpackhi_epi32(c, d);
  const __m512i lows[4] = {_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd), _mm512_unpacklo_epi64(ab2, cd2), _mm512_unpackhi_epi64(ab2, cd2)};
  const __m512i top = _mm512_set1_epi8((char)0xf0), bottom = _mm512_set1_epi8(15), sign = _mm512_set1_epi8((char)0x80);
#pragma GCC unroll 8
  for (int step = 0; step < kSteps; ++step) {
    __m512i both = _mm512_loadu_si512(high + step / 2 * kStepBytes), four = lows[step % 4];
    both = _mm512_and_si512(step % 2 ? both : _mm512_slli_epi16(both, 4), top);
    four = _mm512_and_si512(step / 4 ? _mm512_srli_epi16(four, 4) : four, bottom);
    _mm512_storeu_si512(to + step * kStepBytes, _mm512_xor_si512(_mm512_or_si512(both, four), sign));
  }
}
