// 16 floats in two 256-bit registers. Needs AVX2, FMA and F16C.
struct V16 {
  __m256 lo, hi;
};

inline V16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, V16 a) { _mm256_storeu_ps(p, a.lo); _mm256_storeu_ps(p + 8, a.hi); }
inline V16 load_n(const float* p, int n) {
  float full[16] = {0};
  for (int i = 0; i < n; ++i) full[i] = p[i];
  return load(full);
}
inline void store_n(float* p, V16 a, int n) {
  float full[16];
  store(full, a);
  for (int i = 0; i < n; ++i) p[i] = full[i];
}
inline V16 set1(float x) { __m256 v = _mm256_set1_ps(x); return {v, v}; }
inline V16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline V16 add(V16 a, V16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline V16 sub(V16 a, V16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
inline V16 mul(V16 a, V16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline V16 div(V16 a, V16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
inline V16 fma(V16 a, V16 b, V16 c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
inline V16 max(V16 a, V16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline V16 min(V16 a, V16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
inline V16 abs(V16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline V16 round(V16 a) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, mode), _mm256_round_ps(a.hi, mode)};
}
inline __m256 pow2(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline V16 pow2(V16 n) { return {pow2(n.lo), pow2(n.hi)}; }

// The same pairing as the scalar target: i with i + 8, i + 4, i + 2, i + 1.
inline float reduce_add(V16 a) {
  __m256 eight = _mm256_add_ps(a.lo, a.hi);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline void reduce_add2(V16 a, V16 b, int* sums) {
  __m256 both = _mm256_hadd_ps(_mm256_add_ps(a.lo, a.hi), _mm256_add_ps(b.lo, b.hi));
  both = _mm256_hadd_ps(both, both);
  __m128i total = _mm_cvttps_epi32(_mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1)));
  _mm_storel_epi64((__m128i*)sums, total);
}
inline float reduce_max(V16 a) {
  __m256 eight = _mm256_max_ps(a.lo, a.hi);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline V16 zero_lanes(V16 a, unsigned mask) {
  const __m256i low = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128), high = _mm256_slli_epi32(low, 8);
  __m256i all = _mm256_set1_epi32((int)mask);
  __m256i lo = _mm256_cmpeq_epi32(_mm256_and_si256(all, low), low), hi = _mm256_cmpeq_epi32(_mm256_and_si256(all, high), high);
  return {_mm256_andnot_ps(_mm256_castsi256_ps(lo), a.lo), _mm256_andnot_ps(_mm256_castsi256_ps(hi), a.hi)};
}
inline unsigned greater(V16 a, V16 b) {
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ)) |
         (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ)) << 8;
}

inline V16 from_f16(const unsigned short* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p + 8)))};
}
inline float half_to_float(const unsigned short* p) { return _cvtsh_ss(*p); }
inline void store_f16(unsigned short* p, V16 a) {
  _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i*)(p + 8), _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
inline __m256 from_bf16_8(const unsigned short* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
inline V16 from_bf16(const unsigned short* p) { return {from_bf16_8(p), from_bf16_8(p + 8)}; }
inline V16 from_u8(const unsigned char* p) {
  __m128i b = _mm_loadu_si128((const __m128i*)p);
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(b, 8)))};
}
inline V16 from_s8(const signed char* p) {
  __m128i b = _mm_loadu_si128((const __m128i*)p);
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(b, 8)))};
}
inline __m256 cell_bits_8(const unsigned char* p, int shift, int mask) {
  __m256i c = _mm256_loadu_si256((const __m256i*)p);
  return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srl_epi32(c, _mm_cvtsi32_si128(shift)), _mm256_set1_epi32(mask)));
}
inline V16 cell_bits(const unsigned char* p, int shift, int mask) { return {cell_bits_8(p, shift, mask), cell_bits_8(p + 32, shift, mask)}; }
inline __m256 cell_s8_8(const unsigned char* p, int lane) {
  __m256i c = _mm256_loadu_si256((const __m256i*)p);
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_sll_epi32(c, _mm_cvtsi32_si128(24 - 8 * lane)), 24));
}
inline V16 cell_s8(const unsigned char* p, int lane) { return {cell_s8_8(p, lane), cell_s8_8(p + 32, lane)}; }

inline __m256i to_s16(V16 a) {  // 16 values in order, as int16
  __m256i mixed = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
  return _mm256_permute4x64_epi64(mixed, 0xD8);
}
inline void store_s16(short* p, V16 a) { _mm256_storeu_si256((__m256i*)p, to_s16(a)); }
inline void store_s8(signed char* p, V16 a) {
  __m256i s = to_s16(a);
  _mm_storeu_si128((__m128i*)p, _mm_packs_epi16(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
}

inline int compress(V16 a, unsigned mask, int base, float* to, int* at) {
  if (!mask) return 0;
  float all[16];
  store(all, a);
  int n = 0;
  for (; mask; mask &= mask - 1, ++n) {
    int lane = __builtin_ctz(mask);
    to[n] = all[lane];
    at[n] = base + lane;
  }
  return n;
}
