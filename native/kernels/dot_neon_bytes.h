// Dot products for CPUs that multiply bytes four at a time (sdot).
//
// The packed layout is sdot's own: four columns of a row fill a 32-bit lane. Activations of 16 bits are two planes of
// bytes, 256 high + low, so they cost two dot products; that is still half of what int16 instructions cost.

constexpr int kTokens = 8, kTokensWide = 4;
constexpr int kFew = 8, kFewWide = 4;   // tokens of a block of the few-token path
constexpr bool kPlanes = true;

// acc + codes . x, four columns to a lane; `lane` is known when this is compiled.
inline int32x4_t multiply_add(int32x4_t acc, int8x16_t codes, int8x16_t x, int lane) {
  switch (lane) {
    case 0: return vdotq_laneq_s32(acc, codes, x, 0);
    case 1: return vdotq_laneq_s32(acc, codes, x, 1);
    case 2: return vdotq_laneq_s32(acc, codes, x, 2);
    default: return vdotq_laneq_s32(acc, codes, x, 3);
  }
}

// Rows are taken four at a time, so that the activations of the whole group stay in registers.
template <Codes C, bool kUnpacked, bool kWide, int kFirst, int kCount, int P, int NT, bool kOnto = false>
inline void dot(const unsigned char* const* codes, const signed char* const* x, size_t plane, const int* const* start, I16 (*sums)[P]) {
  constexpr int kParts = kWide ? 2 : 1, kQuads = (kCount + 3) / 4;   // high and low bytes; registers of four steps
  int8x16_t xs[NT][kParts][kQuads];
  for (int t = 0; t < NT; ++t)
    for (int part = 0; part < kParts; ++part)
      for (int quad = 0; quad < kQuads; ++quad) {
        const signed char* from = x[t] + part * plane + kFirst * kStep + 16 * quad;
        if constexpr (kCount == 2) xs[t][part][quad] = vcombine_s8(vld1_s8(from), vdup_n_s8(0));   // there is no more
        else xs[t][part][quad] = vld1q_s8(from);
      }
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 1   // or there is four times as much to compile, for a branch
    for (int i = 0; i < 4; ++i) {
      int32x4_t acc[NT][kParts];
      for (int t = 0; t < NT; ++t) {
        acc[t][0] = vdupq_n_s32(0);
        acc[t][kParts - 1] = start_of<kOnto>(sums[t][p], start ? start[t] : nullptr, i);
      }
#pragma GCC unroll 8
      for (int step = 0; step < kCount; ++step) {
        int8x16_t w = load_codes<C, kUnpacked>(codes[p], kFirst + step, i);
#pragma GCC unroll 8
        for (int t = 0; t < NT; ++t)
          for (int part = 0; part < kParts; ++part)
            acc[t][part] = multiply_add(acc[t][part], w, xs[t][part][step / 4], step % 4);
      }
      for (int t = 0; t < NT; ++t)
        sums[t][p].v[i] = kWide ? vaddq_s32(vshlq_n_s32(acc[t][0], 8), acc[t][kParts - 1]) : acc[t][0];
    }
}
