// y[t, row] = W[row] . x[t] for quantised weights and activations.
//
// Per group of 32 columns, in order: an exact integer dot product, then one fused multiply-add in float for the scale
// and, where the format has one, one for the minimum. After the groups, the token's outlier channels in order. So a
// row's value depends on that row and that token alone, and prefill, decode and batches give the same bits.

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

template <Codes C, Scales S, bool kUnpacked>
inline V16 add_outliers(V16 acc, const PackedView& w, const unsigned char* tile, const unsigned char* codes, int group_bytes, const Activations& x, int t) {
  for (int j = 0; j < kOutliers; ++j) {
    int k = x.outlier_at[t * kOutliers + j], g = k / kGroup, in_group = k % kGroup;
    unsigned char step[kGroup * kRows];
    const unsigned char* group = codes + (size_t)g * group_bytes;
    if constexpr (C != Codes::s8 && !kUnpacked) { unpack<C>(group, step); group = step; }
    const unsigned char* cells = group + in_group / kStep * kStepBytes;
    V16 code = C == Codes::s8 ? cell_s8(cells, in_group % kStep) : cell_u8(cells, in_group % kStep);
    if constexpr (zero_point(C, S) != 0) code = sub(code, set1((float)zero_point(C, S)));
    V16 s[2], m[2], value;
    load_scales<S>(w, tile, g, s, m);
    int h = has_halves(S) ? in_group / 16 : 0;
    if constexpr (has_min(S)) value = fma(s[h], code, m[h]);
    else value = mul(s[h], code);
    acc = fma(value, set1(x.outlier[t * kOutliers + j]), acc);
  }
  return acc;
}

template <Codes C, Scales S, bool kUnpacked, class X, int NT>
inline void quantised_block(const PackedView& w, int tile_index, const unsigned char* codes, int group_bytes, const Activations& x, int t0, float* y, int64_t ld) {
  const unsigned char* tile = w.tile(tile_index);
  const X* all;
  if constexpr (sizeof(X) == 1) all = x.q8;
  else all = x.q16;
  const X* at[NT];
  const int* sums_at[NT];
  const float* scale_at[NT];
  V16 acc[NT];
  for (int t = 0; t < NT; ++t) {
    at[t] = all + (size_t)(t0 + t) * x.cols;
    sums_at[t] = x.sums + (size_t)(t0 + t) * x.groups * 2;
    scale_at[t] = x.scale + (size_t)(t0 + t) * x.groups;
    acc[t] = zero();
  }
  for (int g = 0; g < x.groups; ++g, codes += group_bytes) {
    I16 sums[NT][2];
    V16 s[2], m[2];
    dot<C, kUnpacked, has_halves(S), zero_point(C, S), NT>(codes, at, sums_at, sums);
    load_scales<S>(w, tile, g, s, m);
    for (int t = 0; t < NT; ++t) {
      float sx = scale_at[t][g];
      if constexpr (has_halves(S)) {
        for (int h = 0; h < 2; ++h) {
          acc[t] = fma(to_float(sums[t][h]), mul(s[h], set1(sx)), acc[t]);
          if constexpr (has_min(S)) acc[t] = fma(m[h], set1((float)sums_at[t][h] * sx), acc[t]);
        }
      } else {
        acc[t] = fma(to_float(sums[t][0]), mul(s[0], set1(sx)), acc[t]);
        if constexpr (has_min(S)) acc[t] = fma(m[0], set1((float)(sums_at[t][0] + sums_at[t][1]) * sx), acc[t]);
      }
      at[t] += kGroup;
      sums_at[t] += 2;
    }
  }
  codes -= (size_t)x.groups * group_bytes;
  int left = w.rows - tile_index * kRows;
  for (int t = 0; t < NT; ++t) {
    if constexpr (sizeof(X) == 1) acc[t] = add_outliers<C, S, kUnpacked>(acc[t], w, tile, codes, group_bytes, x, t0 + t);
    float* to = y + (t0 + t) * ld + (size_t)tile_index * kRows;
    if (left >= kRows) store(to, acc[t]);
    else store_n(to, acc[t], left);
  }
}

template <Codes C, Scales S, bool kUnpacked, class X>
inline void quantised_blocks(const PackedView& w, int tile, const unsigned char* codes, int group_bytes, const Activations& x, int begin, int end, float* y, int64_t ld) {
  constexpr int kMany = sizeof(X) == 1 ? kTokens : kTokensWide;
  int t = begin;
  for (; t + kMany <= end; t += kMany) quantised_block<C, S, kUnpacked, X, kMany>(w, tile, codes, group_bytes, x, t, y, ld);
  if constexpr (kMany > 2)
    for (; t + 2 <= end; t += 2) quantised_block<C, S, kUnpacked, X, 2>(w, tile, codes, group_bytes, x, t, y, ld);
  for (; t < end; ++t) quantised_block<C, S, kUnpacked, X, 1>(w, tile, codes, group_bytes, x, t, y, ld);
}

// Codes of less than 8 bits are unpacked once for the whole tile when more than one block of tokens shares them.
template <Codes C, Scales S, class X>
inline void quantised_tile(const PackedView& w, int tile, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch) {
  const unsigned char* codes = w.tile(tile);
  if constexpr (C != Codes::s8) {
    if (end - begin > kTokensWide) {
      for (int g = 0; g < x.groups; ++g) unpack<C>(codes + (size_t)g * code_bytes(C), scratch + (size_t)g * kGroup * kRows);
      return quantised_blocks<C, S, true, X>(w, tile, scratch, kGroup * kRows, x, begin, end, y, ld);
    }
  }
  quantised_blocks<C, S, false, X>(w, tile, codes, code_bytes(C), x, begin, end, y, ld);
}

template <class X>
inline void quantised_any(const PackedView& w, int tile, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch) {
#define GW_CASE(C, S) \
  if (w.codes == Codes::C && w.scales == Scales::S) return quantised_tile<Codes::C, Scales::S, X>(w, tile, x, begin, end, y, ld, scratch);
  GW_CASE(u4, one) GW_CASE(u4, with_min) GW_CASE(u4, super)
  GW_CASE(u5, one) GW_CASE(u5, with_min) GW_CASE(u5, super)
  GW_CASE(s8, one) GW_CASE(s8, halves) GW_CASE(s8, halves_min)
#undef GW_CASE
}

void linear_quantised(const PackedView& w, int tile, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch) {
  if (x.q8) quantised_any<int8_t>(w, tile, x, begin, end, y, ld, scratch);
  else quantised_any<int16_t>(w, tile, x, begin, end, y, ld, scratch);
}
