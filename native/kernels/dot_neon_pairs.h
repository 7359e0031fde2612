// Dot products of two tokens at once with the matrix instructions of i8mm.
//
// smmla multiplies 2 x 8 bytes by 8 x 2 into four sums: twice what sdot does. The 2 x 8 are the same eight columns of
// two tokens; the 8 x 2 are eight columns of two rows, which zip makes of two steps: their columns 4k..4k+3 and
// 4k+4..4k+7 come to lie side by side, row by row. So two steps cost two zips more than with sdot, shared by all
// tokens, and half the multiplications. Activations come first because usmmla wants its unsigned operand there.

// Eight columns of tokens `a` and `b`: part by part, as `split` has them.
template <class X>
inline void split_pair(const X* a, const X* b, int8x16_t (*eights)[sizeof(X)]) {
  int8x16_t of_a[sizeof(X)], of_b[sizeof(X)];
  split(a, of_a);
  split(b, of_b);
  for (size_t p = 0; p < sizeof(X); ++p) {
    int64x2_t one = vreinterpretq_s64_s8(of_a[p]), two = vreinterpretq_s64_s8(of_b[p]);
    eights[0][p] = vreinterpretq_s8_s64(vzip1q_s64(one, two));
    eights[1][p] = vreinterpretq_s8_s64(vzip2q_s64(one, two));
  }
}

// Sums of two rows and two tokens: {token 0 row 0, token 0 row 1, token 1 row 0, token 1 row 1}.
template <int kParts>
struct PairSums {
  int32x4_t part[kParts];

  inline void clear() { for (int32x4_t& p : part) p = vdupq_n_s32(0); }
  inline void add(const int8x16_t* x, int8x16_t rows) {
    part[0] = vmmlaq_s32(part[0], x[0], rows);
    if constexpr (kParts == 2) part[1] = vusmmlaq_s32(part[1], vreinterpretq_u8_s8(x[1]), rows);
  }
  inline int64x2_t total() const {
    if constexpr (kParts == 1) return vreinterpretq_s64_s32(part[0]);
    return vreinterpretq_s64_s32(vaddq_s32(vshlq_n_s32(part[0], 8), part[kParts - 1]));
  }
};

template <Codes C, bool kUnpacked, bool kHalves, int NT, class X>
inline void dot_pairs(const unsigned char* group, const X* const* x, I16 (*sums)[2]) {
  constexpr int kPairs = NT / 2, kParts = sizeof(X);
  int8x16_t xs[kPairs][4][kParts];   // four times eight columns
  for (int pair = 0; pair < kPairs; ++pair)
    for (int half = 0; half < 2; ++half)
      split_pair(x[2 * pair] + 16 * half, x[2 * pair + 1] + 16 * half, xs[pair] + 2 * half);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    PairSums<kParts> low[kPairs], high[kPairs];   // rows 4i, 4i + 1 and rows 4i + 2, 4i + 3
    for (int pair = 0; pair < kPairs; ++pair) { low[pair].clear(); high[pair].clear(); }
#pragma GCC unroll 4
    for (int eight = 0; eight < 4; ++eight) {
      int32x4_t first = vreinterpretq_s32_s8(load_codes<C, kUnpacked>(group, 2 * eight, i));
      int32x4_t second = vreinterpretq_s32_s8(load_codes<C, kUnpacked>(group, 2 * eight + 1, i));
      int8x16_t low_rows = vreinterpretq_s8_s32(vzip1q_s32(first, second));
      int8x16_t high_rows = vreinterpretq_s8_s32(vzip2q_s32(first, second));
      for (int pair = 0; pair < kPairs; ++pair) {
        low[pair].add(xs[pair][eight], low_rows);
        high[pair].add(xs[pair][eight], high_rows);
      }
      if (eight != 3 && !(kHalves && eight == 1)) continue;
      for (int pair = 0; pair < kPairs; ++pair) {
        const int h = kHalves && eight == 3;
        sums[2 * pair][h].v[i] = vreinterpretq_s32_s64(vzip1q_s64(low[pair].total(), high[pair].total()));
        sums[2 * pair + 1][h].v[i] = vreinterpretq_s32_s64(vzip2q_s64(low[pair].total(), high[pair].total()));
        low[pair].clear();
        high[pair].clear();
      }
    }
  }
}
