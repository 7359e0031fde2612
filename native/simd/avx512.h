// 16 floats in one 512-bit register. Needs AVX-512 F, BW, DQ, VL.
struct V16 {
  __m512 v;
};

inline __mmask16 first(int n) { return (__mmask16)((1u << n) - 1u); }
inline V16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline V16 load_n(const float* p, int n) { return {_mm512_maskz_loadu_ps(first(n), p)}; }
inline void store(float* p, V16 a) { _mm512_storeu_ps(p, a.v); }
inline void store_n(float* p, V16 a, int n) { _mm512_mask_storeu_ps(p, first(n), a.v); }
inline V16 set1(float x) { return {_mm512_set1_ps(x)}; }
inline V16 zero() { return {_mm512_setzero_ps()}; }
inline V16 add(V16 a, V16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline V16 sub(V16 a, V16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline V16 mul(V16 a, V16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline V16 div(V16 a, V16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline V16 fma(V16 a, V16 b, V16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline V16 max(V16 a, V16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline V16 min(V16 a, V16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline V16 abs(V16 a) { return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x7fffffff)))}; }
inline V16 round(V16 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline V16 pow2(V16 n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23))};
}

// The same pairing as the scalar target: i with i + 8, i + 4, i + 2, i + 1.
inline float reduce_add(V16 a) {
  __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline void reduce_add2(V16 a, V16 b, int* sums) {
  __m512 both = _mm512_add_ps(_mm512_shuffle_f32x4(a.v, b.v, 0x44), _mm512_shuffle_f32x4(a.v, b.v, 0xee));
  both = _mm512_add_ps(both, _mm512_shuffle_f32x4(both, both, 0xb1));
  both = _mm512_add_ps(both, _mm512_permute_ps(both, 0x4e));
  __m512i total = _mm512_cvttps_epi32(_mm512_add_ps(both, _mm512_permute_ps(both, 0xb1)));
  sums[0] = _mm_cvtsi128_si32(_mm512_castsi512_si128(total));
  sums[1] = _mm_cvtsi128_si32(_mm512_extracti32x4_epi32(total, 2));
}
inline float reduce_max(V16 a) {
  __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline V16 zero_lanes(V16 a, unsigned mask) { return {_mm512_maskz_mov_ps((__mmask16)~mask, a.v)}; }
inline unsigned greater(V16 a, V16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }

inline V16 from_f16(const unsigned short* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p))}; }
inline float half_to_float(const unsigned short* p) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(*p))); }
inline void store_f16(unsigned short* p, V16 a) { _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT)); }
inline V16 from_bf16(const unsigned short* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16))};
}
inline V16 from_u8(const unsigned char* p) { return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)))}; }
inline V16 from_s8(const signed char* p) { return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)))}; }
inline V16 cell_bits(const unsigned char* p, int shift, int mask) {
  __m512i c = _mm512_srl_epi32(_mm512_loadu_si512(p), _mm_cvtsi32_si128(shift));
  return {_mm512_cvtepi32_ps(_mm512_and_si512(c, _mm512_set1_epi32(mask)))};
}
inline V16 cell_s8(const unsigned char* p, int lane) {
  __m512i c = _mm512_sll_epi32(_mm512_loadu_si512(p), _mm_cvtsi32_si128(24 - 8 * lane));
  return {_mm512_cvtepi32_ps(_mm512_srai_epi32(c, 24))};
}
inline void store_s16(short* p, V16 a) { _mm256_storeu_si256((__m256i*)p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a.v))); }
inline void store_s8(signed char* p, V16 a) { _mm_storeu_si128((__m128i*)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a.v))); }

inline int compress(V16 a, unsigned mask, int base, float* to, int* at) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  _mm512_storeu_ps(to, _mm512_maskz_compress_ps((__mmask16)mask, a.v));
  _mm512_storeu_si512(at, _mm512_maskz_compress_epi32((__mmask16)mask, _mm512_add_epi32(lane, _mm512_set1_epi32(base))));
  return __builtin_popcount(mask);
}
