// y[t, row] = W[row] . x[t] for quantised weights and activations.
//
// The order of a row's sum, whatever the target and however many tokens: panels of 64 groups, and in each panel first
// its groups of 32 columns (an exact integer dot product, then one fused multiply-add in float for the scale and, where
// the format has one, one for the minimum), then the token's outlier channels among its columns. So a row's value
// depends on that row and that token alone, and prefill, decode and batches give the same bits.
//
// This file: what scales and columns mean, and a few tokens, straight from the packed codes. linear_prepared.h: many.

template <Scales S>
GW_INLINE void load_scales(const PackedView& w, const unsigned char* tile, int g, V16* s, V16* m) {
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
  for (int i = 0; i < planes(C); ++i) low = fma(set1((float)(16 << i)), cell_bits(group + (4 + i) * kStepBytes, 8 * lane + step, 1), low);
  return low;
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

// Asks memory for `kBytes` that lie `ahead` bytes on: at the same place of the next tile. Prefetchers of the hardware
// stop at the end of a page of 4 KiB, and know nothing of the three streams in a tile. kNear: into the first-level
// cache, which only pays where each weight is used once and nothing else needs room there (benchmarks/lab/decode.md).
template <int kBytes, bool kNear = false>
inline void ask_for(const unsigned char* at, size_t ahead) {
  for (int line = 0; line < kBytes; line += 64) __builtin_prefetch(at + ahead + line, 0, kNear ? 3 : 2);
}

// The weights a piece of work will read next, asked for little by little while the present ones are multiplied.
struct Ahead {
  const unsigned char *at, *end;
  int lines;   // a call
  void ask() {
    for (int i = 0; i < lines && at < end; ++i, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

// A few tokens: NT of them from `token` on. Their starts and offsets are in x.start and x.offset.
template <Codes C, Scales S, bool kWide, int NT>
inline void few_tokens(const PackedView& w, int tile_index, const Activations& x, int token, float* y, int64_t ld) {
  constexpr int H = has_halves(S) ? 2 : 1;
  constexpr bool kSigned = C == Codes::s8 || C == Codes::split, kStart = zero_point(C, S) + (kSigned ? kShift : 0) != 0;
  const unsigned char *tile = w.tile(tile_index), *codes = tile;
  const signed char* at[NT];
  const int *start[NT], *outlier_at[NT];
  const float *offset[NT], *scale[NT], *outlier[NT];
  int next[NT];
  V16 acc[NT];
  for (int t = 0; t < NT; ++t) {
    const size_t i = token + t;
    at[t] = (const signed char*)x.codes + i * x.row_bytes();
    start[t] = x.start[start_table(C, S)] + i * x.groups * H;
    offset[t] = x.offset[H - 1] + i * x.groups * H;
    scale[t] = x.scale + i * x.groups;
    outlier_at[t] = x.outlier_at + i * x.outliers;
    outlier[t] = x.outlier + i * x.outliers;
    next[t] = 0;
    acc[t] = zero();
  }
  for (int g = 0; g < x.groups; ++g, codes += code_bytes(C)) {
    ask_for<code_bytes(C)>(codes, w.tile_bytes);
    if (g % 2 == 0) ask_for<64>(tile + w.scales_at + (size_t)g * scale_bytes(S), w.tile_bytes);
    if (has_super(S) && g % 8 == 0) ask_for<64>(tile + w.supers_at + (size_t)g * 8, w.tile_bytes);
    V16 s[2], m[2];
    load_scales<S>(w, tile, g, s, m);
    unsigned char joined[C == Codes::split ? kGroup * kRows : 1];
    const unsigned char* group = codes;
    if constexpr (C == Codes::split) {
      join(w, tile_index, g, joined);
      group = joined;
    }
    constexpr Codes kForm = C == Codes::split ? Codes::s8 : C;
#pragma GCC unroll 2
    for (int h = 0; h < H; ++h) {
      I16 dots[NT][1];
      if (H == 1) dot<kForm, false, kWide, 0, kSteps, 1, NT>(&group, at, x.cols, kStart ? start : nullptr, dots);
      else if (h == 0) dot<kForm, false, kWide, 0, kSteps / 2, 1, NT>(&group, at, x.cols, kStart ? start : nullptr, dots);
      else dot<kForm, false, kWide, kSteps / 2, kSteps / 2, 1, NT>(&group, at, x.cols, kStart ? start : nullptr, dots);
#pragma GCC unroll 8
      for (int t = 0; t < NT; ++t) {
        acc[t] = fma(to_float(dots[t][0]), mul(s[h], set1(scale[t][g])), acc[t]);
        if constexpr (has_min(S)) acc[t] = fma(m[h], set1(*offset[t]++), acc[t]);
        if constexpr (kStart) ++start[t];
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t) at[t] += kGroup * (kWide && !kPlanes ? 2 : 1);
    if constexpr (!kWide)
      if ((g + 1) % kPanelGroups == 0 || g + 1 == x.groups)
        for (int t = 0; t < NT; ++t) {
          V16 sum = acc[t];
          for (; next[t] < x.outliers && outlier_at[t][next[t]] < (g + 1) * kGroup; ++next[t]) {
            ask_for<128>(tile + next[t] * 128, 2 * w.tile_bytes);   // memory is not left idle meanwhile
            sum = fma(weight_column<C, S>(w, tile_index, outlier_at[t][next[t]]), set1(outlier[t][next[t]]), sum);
          }
          acc[t] = sum;
        }
  }
  for (int t = 0; t < NT; ++t) store_rows(w, tile_index, y + (token + t) * ld, acc[t]);
}
