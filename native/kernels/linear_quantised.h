// y[t, row] = W[row] . x[t] for quantised weights and activations.
//
// The order of a row's sum, whatever the target and however many tokens: panels of 64 groups, and in each panel first
// its groups of 32 columns (an exact integer dot product, then one fused multiply-add in float for the scale and, where
// the format has one, one for the minimum), then the token's outlier channels among its columns. So a row's value
// depends on that row and that token alone, and prefill, decode and batches give the same bits.
//
// This file: what scales and columns mean, and one token, read straight from the packed codes. linear_prepared.h: many.

template <Scales S>
inline void load_scales(const PackedView& w, const unsigned char* tile, int g, V16* s, V16* m) {
  const unsigned char* at = tile + w.scales_at + (size_t)g * scale_bytes(S);
  if constexpr (!has_super(S)) {
    s[0] = from_f16((const unsigned short*)at);
    if constexpr (S == Scales::with_min) m[0] = from_f16((const unsigned short*)at + kRows);
    return;
  } else {
    const unsigned short* super = (const unsigned short*)(tile + w.supers_at + (size_t)(g / 8) * 64);
    V16 d = from_f16(super);
    if constexpr (S == Scales::super) {
      s[0] = mul(d, from_u8(at));
      m[0] = sub(zero(), mul(from_f16(super + kRows), from_u8(at + kRows)));
    } else if constexpr (S == Scales::halves) {
      for (int h = 0; h < 2; ++h) s[h] = mul(d, from_s8((const signed char*)at + h * kRows));
    } else {
      V16 e = from_f16(super + kRows);
      for (int h = 0; h < 2; ++h) {
        s[h] = mul(d, from_u8(at + h * kRows));
        m[h] = sub(zero(), mul(e, from_u8(at + (2 + h) * kRows)));
      }
    }
  }
}

// Codes of column k of a group, from the packed form.
template <Codes C>
inline V16 column_codes(const unsigned char* group, int k) {
  int step = k / kStep, lane = k % kStep;
  if constexpr (C == Codes::s8) return cell_s8(group + step * kStepBytes, lane);
  V16 low = cell_bits(group + step / 2 * kStepBytes, 8 * lane + 4 * (step % 2), 15);
  if constexpr (C == Codes::u4) return low;
  return fma(set1(16.0f), cell_bits(group + 4 * kStepBytes, 8 * lane + step, 1), low);
}

inline void join(const PackedView& w, int tile, int g, unsigned char* to);   // head.h

// Column k of a tile: sixteen weights as floats.
template <Codes C, Scales S>
inline V16 weight_column(const PackedView& w, int tile_index, int k) {
  const unsigned char* tile = w.tile(tile_index);
  int g = k / kGroup, in_group = k % kGroup, h = has_halves(S) ? in_group / 16 : 0;
  V16 code;
  if constexpr (C == Codes::split) {
    unsigned char joined[kGroup * kRows];
    join(w, tile_index, g, joined);
    code = column_codes<Codes::s8>(joined, in_group);
  } else {
    code = column_codes<C>(tile + (size_t)g * code_bytes(C), in_group);
  }
  if constexpr (zero_point(C, S) != 0) code = sub(code, set1((float)zero_point(C, S)));
  V16 s[2], m[2];
  load_scales<S>(w, tile, g, s, m);
  if constexpr (has_min(S)) return fma(s[h], code, m[h]);
  return mul(s[h], code);
}

inline void store_rows(const PackedView& w, int tile, float* to, V16 sum) {
  int left = w.rows - tile * kRows;
  if (left >= kRows) store(to + (size_t)tile * kRows, sum);
  else store_n(to + (size_t)tile * kRows, sum, left);
}

// Asks memory for what comes kAhead bytes after `at`. Prefetchers of the hardware stop at the end of a page of 4 KiB,
// and mapped files have no larger ones.
constexpr int kAhead = 8192;
template <int kBytes>
inline void ask_for(const unsigned char* at) {
  for (int line = 0; line < kBytes; line += 64) __builtin_prefetch(at + kAhead + line);
}

// The weights a piece of work will read next, asked for little by little while the present ones are multiplied.
struct Ahead {
  const unsigned char *at, *end;
  int lines;   // a call
  void ask() {
    for (int i = 0; i < lines && at < end; ++i, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

template <Codes C, Scales S, bool kWide>
inline void one_token(const PackedView& w, int tile_index, const Activations& x, int token, float* y) {
  constexpr int H = has_halves(S) ? 2 : 1, kZero = zero_point(C, S) + (C == Codes::s8 || C == Codes::split ? kShift : 0);
  const unsigned char *tile = w.tile(tile_index), *codes = tile;
  const signed char* at = (const signed char*)x.codes + (size_t)token * x.row_bytes();
  const int *sums = x.sums + (size_t)token * x.groups * 2, *outlier_at = x.outlier_at + (size_t)token * x.outliers;
  const float *scale = x.scale + (size_t)token * x.groups, *outlier = x.outlier + (size_t)token * x.outliers;
  V16 acc = zero();
  int next = 0;
  for (int g = 0; g < x.groups; ++g, codes += code_bytes(C), at += kGroup * (kWide && !kPlanes ? 2 : 1), sums += 2) {
    ask_for<code_bytes(C)>(codes);
    int zero_of[2] = {-kZero * (H == 2 ? sums[0] : sums[0] + sums[1]), -kZero * sums[1]};
    const int* start[2] = {zero_of, zero_of + 1};
    I16 dots[2][1];
    if constexpr (C == Codes::split) {
      unsigned char joined[kGroup * kRows];
      const unsigned char* group = joined;
      join(w, tile_index, g, joined);
      dot<Codes::s8, false, kWide, 0, kSteps, 1, 1>(&group, &at, x.cols, kZero ? start : nullptr, dots);
    } else {
      dot<C, false, kWide, 0, kSteps / H, 1, 1>(&codes, &at, x.cols, kZero ? start : nullptr, dots);
    }
    if constexpr (H == 2) dot<C, false, kWide, kSteps / 2, kSteps / 2, 1, 1>(&codes, &at, x.cols, kZero ? start + 1 : nullptr, dots + 1);
    V16 s[2], m[2];
    load_scales<S>(w, tile, g, s, m);
    for (int h = 0; h < H; ++h) {
      acc = fma(to_float(dots[h][0]), mul(s[h], set1(scale[g])), acc);
      if constexpr (has_min(S)) acc = fma(m[h], set1((float)(H == 2 ? sums[h] : sums[0] + sums[1]) * scale[g]), acc);
    }
    if constexpr (!kWide)
      if ((g + 1) % kPanelGroups == 0 || g + 1 == x.groups)
        for (; next < x.outliers && outlier_at[next] < (g + 1) * kGroup; ++next)
          acc = fma(weight_column<C, S>(w, tile_index, outlier_at[next]), set1(outlier[next]), acc);
  }
  store_rows(w, tile_index, y, acc);
}
