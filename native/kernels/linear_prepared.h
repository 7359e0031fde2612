// Many tokens: a few tiles are prepared once (codes in bytes, scales in floats, outlier columns as floats), panel by
// panel, and every token of the chunk passes over them. Order of the sums: linear_quantised.h.

// What differs between formats once they are prepared.
struct Prepared {
  const unsigned char* codes[kTiles];   // of the panel's first group
  int group_bytes;
  int groups, first;                    // of the panel
  const float *scale, *minimum;         // [groups, H, kTiles, 16]
  const int* start;                     // [tokens, groups, H], what an integer sum starts from
  const float* offset;                  // [tokens, groups, H], what a minimum is multiplied by
  const float* columns;                 // [slots, kTiles, 16]
  float* running;                       // [tokens, kTiles, 16], between panels
  Ahead* ahead;
};

// One block of NT tokens, from `t` of the chunk on: their groups and outliers of this panel.
template <Codes C, int H, bool kMin, bool kStart, bool kWide, int NT>
GW_INLINE void prepared_block(const Prepared& p, const Activations& x, int begin, int t, V16 (*acc)[kTiles]) {
  const signed char* at[NT];
  const float* scale_at[NT];
  for (int i = 0; i < NT; ++i) {
    at[i] = (const signed char*)x.codes + (size_t)(begin + t + i) * x.row_bytes() + (size_t)p.first * kGroup * (kWide && !kPlanes ? 2 : 1);
    scale_at[i] = x.scale + (size_t)(begin + t + i) * x.groups + p.first;
  }
  const unsigned char* codes[kTiles];
  for (int q = 0; q < kTiles; ++q) codes[q] = p.codes[q];
  const float *s = p.scale, *m = p.minimum;
  const int per_token = p.groups * H;
  const int* start_at = p.start + (size_t)t * per_token;
  const float* offset_at = p.offset + (size_t)t * per_token;
  for (int g = 0; g < p.groups; ++g) {
    p.ahead->ask();
#pragma GCC unroll 2
    for (int h = 0; h < H; ++h, s += kTiles * kRows, m += kTiles * kRows, ++start_at, ++offset_at) {
      const int* start[NT];
      for (int i = 0; i < NT; ++i) start[i] = start_at + i * per_token;
      I16 dots[NT][kTiles];
      if (H == 1) dot<C, true, kWide, 0, kSteps, kTiles, NT>(codes, at, x.cols, kStart ? start : nullptr, dots);
      else if (h == 0) dot<C, true, kWide, 0, kSteps / 2, kTiles, NT>(codes, at, x.cols, kStart ? start : nullptr, dots);
      else dot<C, true, kWide, kSteps / 2, kSteps / 2, kTiles, NT>(codes, at, x.cols, kStart ? start : nullptr, dots);
      V16 sw[kTiles];
      for (int q = 0; q < kTiles; ++q) sw[q] = load(s + q * kRows);
#pragma GCC unroll 8
      for (int i = 0; i < NT; ++i) {
        V16 sx = set1(scale_at[i][g]);
        for (int q = 0; q < kTiles; ++q) acc[i][q] = fma(to_float(dots[i][q]), mul(sw[q], sx), acc[i][q]);
      }
      if constexpr (kMin) {
        for (int q = 0; q < kTiles; ++q) sw[q] = load(m + q * kRows);
#pragma GCC unroll 8
        for (int i = 0; i < NT; ++i) {
          V16 offset = set1(offset_at[i * per_token]);
          for (int q = 0; q < kTiles; ++q) acc[i][q] = fma(sw[q], offset, acc[i][q]);
        }
      }
    }
    for (int q = 0; q < kTiles; ++q) codes[q] += p.group_bytes;
#pragma GCC unroll 8
    for (int i = 0; i < NT; ++i) at[i] += kGroup * (kWide && !kPlanes ? 2 : 1);
  }
}

// The outliers of one token among the panel's columns.
inline void prepared_outliers(const Prepared& p, const Activations& x, int token, V16* acc) {
  const int *at = x.outlier_at + (size_t)token * x.outliers, *slot = x.outlier_slot + (size_t)token * x.outliers;
  const float* value = x.outlier + (size_t)token * x.outliers;
  int j = 0, last = x.outliers;
  if (x.groups > kPanelGroups) {
    const int first_column = p.first * kGroup, end_column = first_column + p.groups * kGroup;
    while (j < last && at[j] < first_column) ++j;
    while (last > j && at[last - 1] >= end_column) --last;
  }
  V16 sum[kTiles];
  for (int q = 0; q < kTiles; ++q) sum[q] = acc[q];
#pragma GCC unroll 4
  for (; j < last; ++j) {
    const float* column = p.columns + (size_t)slot[j] * kTiles * kRows;
    V16 v = set1(value[j]);
    for (int q = 0; q < kTiles; ++q) sum[q] = fma(load(column + q * kRows), v, sum[q]);
  }
  for (int q = 0; q < kTiles; ++q) acc[q] = sum[q];
}

// Column k of the panel of tile q, as weight_column gives it.
template <Codes C, Scales S>
inline V16 prepared_column(const Prepared& p, int q, int k) {
  constexpr int H = has_halves(S) ? 2 : 1;
  const int g = k / kGroup, in_group = k % kGroup, h = H == 2 ? in_group / 16 : 0;
  const unsigned char* cells = p.codes[q] + (size_t)g * p.group_bytes + in_group / kStep * kStepBytes;
  V16 code = C == Codes::s8 || C == Codes::split ? cell_s8(cells, in_group % kStep) : cell_bits(cells, 8 * (in_group % kStep), 255);
  if constexpr (zero_point(C, S) != 0) code = sub(code, set1((float)zero_point(C, S)));
  const size_t at = ((size_t)(g * H + h) * kTiles + q) * kRows;
  if constexpr (has_min(S)) return fma(load(p.scale + at), code, load(p.minimum + at));
  return mul(load(p.scale + at), code);
}

struct Output {
  const PackedView& w;
  int tile, tiles;
  float* y;
  int64_t ld;
  bool first, last;   // panel of the row
};

template <Codes C, int H, bool kMin, bool kStart, bool kWide, int NT>
inline void prepared_tokens(const Prepared& p, const Activations& x, int begin, int t, const Output& out) {
  V16 acc[NT][kTiles];
  float* running = p.running + (size_t)t * kTiles * kRows;
  for (int i = 0; i < NT; ++i)
    for (int q = 0; q < kTiles; ++q) acc[i][q] = out.first ? zero() : load(running + (i * kTiles + q) * kRows);
  prepared_block<C, H, kMin, kStart, kWide, NT>(p, x, begin, t, acc);
  for (int i = 0; i < NT; ++i) {
    if constexpr (!kWide) prepared_outliers(p, x, begin + t + i, acc[i]);
    for (int q = 0; q < kTiles; ++q) {
      if (!out.last) store(running + (i * kTiles + q) * kRows, acc[i][q]);
      else if (q < out.tiles) store_rows(out.w, out.tile + q, out.y + (begin + t + i) * out.ld, acc[i][q]);
    }
  }
}

// The chunk in blocks of equal size, give or take one, of at most kMost tokens.
template <Codes C, int H, bool kMin, bool kStart, bool kWide>
inline void prepared_chunk(const Prepared& p, const Activations& x, int begin, int end, const Output& out) {
  constexpr int kMost = kWide ? kTokensWide : kTokens;
  const int count = end - begin, blocks = (count + kMost - 1) / kMost;
  for (int b = 0, t = 0; b < blocks; ++b) {
    int n = (count - t) / (blocks - b);
#define GW_TOKENS(N) case N: if constexpr (N <= kMost) prepared_tokens<C, H, kMin, kStart, kWide, N>(p, x, begin, t, out); break;
    switch (n) { GW_TOKENS(1) GW_TOKENS(2) GW_TOKENS(3) GW_TOKENS(4) GW_TOKENS(5) GW_TOKENS(6) GW_TOKENS(7) GW_TOKENS(8) }
#undef GW_TOKENS
    t += n;
  }
}

template <Codes C, Scales S, bool kWide>
inline void many_tokens(const PackedView& w, int tile, int tiles, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch) {
  constexpr int H = has_halves(S) ? 2 : 1, kZero = zero_point(C, S) + (C == Codes::s8 || C == Codes::split ? kShift : 0);
  constexpr bool kMin = has_min(S);
  unsigned char* bytes = scratch;
  float* scale = (float*)(bytes + (size_t)kTiles * kPanel * kRows);
  float* minimum = scale + (size_t)kPanelGroups * H * kTiles * kRows;
  float* columns = minimum + (size_t)kPanelGroups * H * kTiles * kRows;
  float* running = columns + (size_t)kPanel * kTiles * kRows;
  float* offset = running + (size_t)(end - begin) * kTiles * kRows;
  int* start = (int*)(offset + (size_t)(end - begin) * kPanelGroups * 2);
  const int chunk = x.chunk ? begin / x.chunk : 0, blocks = (end - begin + kTokens - 1) / kTokens;
  const unsigned char* next = w.tile(tile + kTiles);
  const int lines = (int)(kTiles * w.tile_bytes / 64);
  Ahead ahead{next, next + kTiles * w.tile_bytes, lines / (x.groups * blocks) + 1};
  for (int first = 0, panel = 0; first < x.groups; first += kPanelGroups, ++panel) {
    const int groups = x.groups - first < kPanelGroups ? x.groups - first : kPanelGroups;
    constexpr bool kInPlace = C == Codes::s8;   // codes of a split matrix are joined to s8 first
    Prepared p{{}, kInPlace ? code_bytes(C) : kGroup * kRows, groups, first, scale, minimum, start, offset, columns, running, &ahead};
    for (int q = 0; q < kTiles; ++q) {
      const unsigned char* from = w.tile(tile + (q < tiles ? q : 0));   // one tile alone is simply taken twice
      const unsigned char* codes = from + (size_t)first * code_bytes(C);
      p.codes[q] = kInPlace ? codes : bytes + (size_t)q * kPanel * kRows;
      for (int g = 0; g < groups; ++g) {
        if constexpr (C == Codes::split) join(w, tile + (q < tiles ? q : 0), first + g, bytes + ((size_t)q * kPanel + g * kGroup) * kRows);
        else if constexpr (!kInPlace) unpack<C>(codes + (size_t)g * code_bytes(C), bytes + ((size_t)q * kPanel + g * kGroup) * kRows);
        V16 s[2], m[2];
        load_scales<S>(w, from, first + g, s, m);
        for (int h = 0; h < H; ++h) {
          store(scale + ((g * H + h) * kTiles + q) * kRows, s[h]);
          if constexpr (kMin) store(minimum + ((g * H + h) * kTiles + q) * kRows, m[h]);
        }
      }
      if constexpr (!kWide) {
        const int count = x.columns[chunk * x.panels() + panel], *column = x.column + (size_t)chunk * x.cols + (size_t)panel * kPanel;
        for (int i = 0; i < count; ++i) store(columns + ((size_t)i * kTiles + q) * kRows, prepared_column<C, S>(p, q, column[i] - first * kGroup));
      }
    }
    for (int t = 0; t < end - begin && (kZero || kMin); ++t) {
      const int* sums = x.sums + ((size_t)(begin + t) * x.groups + first) * 2;
      const float* sx = x.scale + (size_t)(begin + t) * x.groups + first;
      for (int i = 0; i < groups * H; ++i) {
        int sum = H == 2 ? sums[i] : sums[2 * i] + sums[2 * i + 1];
        if constexpr (kZero != 0) start[(size_t)t * groups * H + i] = -kZero * sum;
        if constexpr (kMin) offset[(size_t)t * groups * H + i] = (float)sum * sx[i / H];
      }
    }
    constexpr Codes kForm = C == Codes::split ? Codes::s8 : C;
    prepared_chunk<kForm, H, kMin, kZero != 0, kWide>(p, x, begin, end, {w, tile, tiles, y, ld, first == 0, first + groups == x.groups});
  }
}

template <Codes C, Scales S, bool kWide>
inline void quantised_tiles(const PackedView& w, int tile, int tiles, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch) {
  if (x.few()) {   // in blocks of equal size, give or take one
    constexpr int kMost = kWide ? kFewWide : kFew;
    const int count = end - begin, blocks = (count + kMost - 1) / kMost;
    for (int q = 0; q < tiles; ++q)
      for (int b = 0, t = begin; b < blocks; ++b) {
        int n = (end - t) / (blocks - b);
#define GW_TOKENS(N) case N: if constexpr (N <= kMost) few_tokens<C, S, kWide, N>(w, tile + q, x, t, y, ld); break;
        switch (n) { GW_TOKENS(1) GW_TOKENS(2) GW_TOKENS(3) GW_TOKENS(4) GW_TOKENS(5) GW_TOKENS(6) GW_TOKENS(7) GW_TOKENS(8) }
#undef GW_TOKENS
        t += n;
      }
    return;
  }
  for (int q = 0; q < tiles; q += kTiles)
    many_tokens<C, S, kWide>(w, tile + q, tiles - q < kTiles ? tiles - q : kTiles, x, begin, end, y, ld, scratch);
}

template <bool kWide>
inline void quantised_any(const PackedView& w, int tile, int tiles, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch) {
#define GW_CASE(C, S) \
  if (w.codes == Codes::C && w.scales == Scales::S) return quantised_tiles<Codes::C, Scales::S, kWide>(w, tile, tiles, x, begin, end, y, ld, scratch);
  GW_CASE(u4, one) GW_CASE(u4, with_min) GW_CASE(u4, super)
  GW_CASE(u5, one) GW_CASE(u5, with_min) GW_CASE(u5, super)
  GW_CASE(u6, halves) GW_CASE(s8, one) GW_CASE(s8, halves) GW_CASE(s8, halves_min) GW_CASE(split, one)
#undef GW_CASE
}

void linear_quantised(const PackedView& w, int tile, int tiles, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch) {
  if (x.wide) quantised_any<true>(w, tile, tiles, x, begin, end, y, ld, scratch);
  else quantised_any<false>(w, tile, tiles, x, begin, end, y, ld, scratch);
}
