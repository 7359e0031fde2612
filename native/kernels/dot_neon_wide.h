// Dot products for CPUs without byte dot products: products widen to int16 or int32 at once.
//
// int8: smlal adds products of bytes in int16, column by column. Codes of 4 and 5 bits leave room for a whole group
// (8 x 31 x 127 is below 32,768), those of 6 bits for half of one (4 x 63 x 127), signed ones for two steps (2 x 128 x 127), then they are added up in int32.
// int16: columns are taken apart (ld4), so that lanes are rows and a row's sum never leaves its lane.

constexpr int kTokens = 2, kTokensWide = 4;
constexpr int kFew = 2, kFewWide = 4;   // tokens of a block of the few-token path
constexpr bool kPlanes = false;

// Products of one step with eight rows from row 8 `side` on, added to run[t][0..3] (two rows each), or put there when it
// is the first of its run.
template <Codes C, bool kUnpacked, int NT>
inline void multiply_step(const unsigned char* group, int step, int side, bool is_first, const signed char* const* x, int16x8_t (*run)[4]) {
  int8x16_t w[2] = {load_codes<C, kUnpacked>(group, step, 2 * side), load_codes<C, kUnpacked>(group, step, 2 * side + 1)};
  for (int t = 0; t < NT; ++t) {
    int four;
    __builtin_memcpy(&four, x[t] + step * kStep, 4);
    int8x8_t xs = vreinterpret_s8_s32(vdup_n_s32(four));
    for (int i = 0; i < 2; ++i) {
      int16x8_t *low = &run[t][2 * i], *high = low + 1;
      *low = is_first ? vmull_s8(vget_low_s8(w[i]), xs) : vmlal_s8(*low, vget_low_s8(w[i]), xs);
      *high = is_first ? vmull_s8(vget_high_s8(w[i]), xs) : vmlal_s8(*high, vget_high_s8(w[i]), xs);
    }
  }
}

// Adds to sums. Rows are taken eight at a time, so that their sums stay in registers.
template <Codes C, bool kUnpacked, int kFirst, int kCount, int NT>
inline void dot_bytes(const unsigned char* group, const signed char* const* x, I16* sums) {
  constexpr int kRun = C == Codes::s8 || kCount == 2 ? 2 : C == Codes::u6 ? 4 : kCount;   // steps that may be added in int16
  for (int side = 0; side < 2; ++side) {
    int16x8_t run[NT][4];
    int32x4_t wide[NT][4];   // a row's sum in two lanes
    for (int t = 0; t < NT; ++t)
      for (int i = 0; i < 4; ++i) wide[t][i] = vdupq_n_s32(0);
#pragma GCC unroll 8
    for (int step = 0; step < kCount; ++step) {
      multiply_step<C, kUnpacked, NT>(group, kFirst + step, side, step % kRun == 0, x, run);
      if (step % kRun == kRun - 1)
        for (int t = 0; t < NT; ++t)
          for (int i = 0; i < 4; ++i) wide[t][i] = vpadalq_s16(wide[t][i], run[t][i]);
    }
    for (int t = 0; t < NT; ++t)
      for (int i = 0; i < 2; ++i) {
        int32x4_t& to = sums[t].v[2 * side + i];
        to = vaddq_s32(to, vpaddq_s32(wide[t][2 * i], wide[t][2 * i + 1]));
      }
  }
}

// Codes of one step taken apart: [column][row].
template <Codes C, bool kUnpacked>
inline int8x16x4_t load_columns(const unsigned char* group, int step) {
  if constexpr (C == Codes::s8 || kUnpacked) return vld4q_s8((const int8_t*)group + step * kStepBytes);
  uint8x16x4_t both = vld4q_u8(group + step / 2 * kStepBytes), planes_of[2];
  for (int i = 0; i < planes(C); ++i) planes_of[i] = vld4q_u8(group + (4 + i) * kStepBytes);
  int8x16x4_t codes;
  for (int c = 0; c < kStep; ++c) {
    const uint8x16_t plane[2] = {planes_of[0].val[c], planes_of[1].val[c]};
    codes.val[c] = nibble<C>(both.val[c], plane, step);
  }
  return codes;
}

template <int kColumn, int NT>
inline void add_column(int8x16_t codes, const int16x4_t* x, I16* acc) {
  int16x8_t low = vmovl_s8(vget_low_s8(codes)), high = vmovl_high_s8(codes);
  for (int t = 0; t < NT; ++t) {
    acc[t].v[0] = vmlal_lane_s16(acc[t].v[0], vget_low_s16(low), x[t], kColumn);
    acc[t].v[1] = vmlal_high_lane_s16(acc[t].v[1], low, x[t], kColumn);
    acc[t].v[2] = vmlal_lane_s16(acc[t].v[2], vget_low_s16(high), x[t], kColumn);
    acc[t].v[3] = vmlal_high_lane_s16(acc[t].v[3], high, x[t], kColumn);
  }
}

// Adds to sums.
template <Codes C, bool kUnpacked, int kFirst, int kCount, int NT>
inline void dot_words(const unsigned char* group, const signed char* const* x, I16* sums) {
#pragma GCC unroll 2   // more, and the compiler loads so far ahead that sums go to the stack
  for (int step = kFirst; step < kFirst + kCount; ++step) {
    int8x16x4_t codes = load_columns<C, kUnpacked>(group, step);
    int16x4_t xs[NT];
    for (int t = 0; t < NT; ++t) xs[t] = vld1_s16((const short*)x[t] + step * kStep);
    add_column<0, NT>(codes.val[0], xs, sums);
    add_column<1, NT>(codes.val[1], xs, sums);
    add_column<2, NT>(codes.val[2], xs, sums);
    add_column<3, NT>(codes.val[3], xs, sums);
  }
}

template <Codes C, bool kUnpacked, bool kWide, int kFirst, int kCount, int P, int NT, bool kOnto = false>
inline void dot(const unsigned char* const* codes, const signed char* const* x, size_t, const int* const* start, I16 (*sums)[P]) {
  for (int p = 0; p < P; ++p) {
    I16 acc[NT];
    for (int t = 0; t < NT; ++t)
      for (int i = 0; i < 4; ++i) acc[t].v[i] = start_of<kOnto>(sums[t][p], start ? start[t] : nullptr, i);
    if constexpr (kWide) dot_words<C, kUnpacked, kFirst, kCount, NT>(codes[p], x, acc);
    else dot_bytes<C, kUnpacked, kFirst, kCount, NT>(codes[p], x, acc);
    for (int t = 0; t < NT; ++t) sums[t][p] = acc[t];
  }
}
