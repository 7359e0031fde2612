// Products with split matrices: a first look at half of each weight, and the exact product of single rows.
// What they are for, and why the result is certain: core/head.cpp.

// out[t, row] is nearly W[row] . x[t], x rounded to bytes: exact columns are exact, of the others the low half counts as 8.
// Integer sum of a group: 16 high . x + low . x over the exact columns + start.
template <bool kUnpacked, int P, int NT>
GW_INLINE void head_groups(const unsigned char* const* codes, size_t group_bytes, const unsigned char* const* exact, size_t exact_bytes,
                        const float* scale, const HeadQuery& q, int token, V16 (*acc)[P], Ahead* ahead, size_t next_tile) {
  for (int t = 0; t < NT; ++t)
    for (int p = 0; p < P; ++p) acc[t][p] = zero();
  const unsigned char *code[P], *low[P];
  for (int p = 0; p < P; ++p) { code[p] = codes[p]; low[p] = exact[p]; }
  const signed char *all = (const signed char*)q.high + (size_t)token * kGroup, *some = (const signed char*)q.exact + (size_t)token * kExact;
  const float* sx = q.scale + token;
  const int* start = q.start + token;
  for (int g = 0; g < q.groups; ++g) {
    if constexpr (kUnpacked) ahead->ask();
    else ask_for<kGroup * kRows / 2, NT == 1>(code[0], next_tile), ask_for<kExactBytes, NT == 1>(low[0], next_tile);
    const signed char *x[NT], *kept[NT];
    for (int t = 0; t < NT; ++t) { x[t] = all + t * kGroup; kept[t] = some + t * kExact; }
    I16 dots[NT][P];
    dot<Codes::u4, kUnpacked, false, 0, kSteps, P, NT>(code, x, 0, nullptr, dots);
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t)
      for (int p = 0; p < P; ++p) dots[t][p] = times16_plus(dots[t][p], start[t]);
    dot<Codes::u4, kUnpacked, false, 0, kExact / kStep, P, NT, true>(low, kept, 0, nullptr, dots);
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t)
      for (int p = 0; p < P; ++p) acc[t][p] = fma(to_float(dots[t][p]), mul(load(scale + ((size_t)g * P + p) * kRows), set1(sx[t])), acc[t][p]);
    all += (size_t)q.tokens * kGroup;
    some += (size_t)q.tokens * kExact;
    sx += q.tokens;
    start += q.tokens;
    for (int p = 0; p < P; ++p) { code[p] += group_bytes; low[p] += exact_bytes; }
  }
}

// Where the products of a unit go, and the largest of them.
struct HeadOutput {
  float* near;          // [tokens, ld]
  int64_t ld;
  float* best;          // [tokens, best_ld]
  int64_t best_ld;
  bool onto;            // best holds that of other tiles of the unit
};

inline void head_store(const V16* acc, int tiles, int token, int row, const HeadOutput& out) {
  float* best = out.best + token * out.best_ld;
  V16 most = acc[0];
  for (int p = 0; p < tiles; ++p) {
    store(out.near + token * out.ld + row + p * kRows, acc[p]);
    most = max(most, acc[p]);
  }
  float top = reduce_max(most);
  *best = out.onto && *best > top ? *best : top;
}

template <int NT>
inline void head_tokens(const unsigned char* const* codes, const unsigned char* const* exact, const float* scale, const HeadQuery& q, int token, int tiles, int row, const HeadOutput& out, Ahead* ahead) {
  V16 acc[NT][kTiles];
  head_groups<true, kTiles, NT>(codes, (size_t)kGroup * kRows, exact, (size_t)kExact * kRows, scale, q, token, acc, ahead, 0);
  for (int t = 0; t < NT; ++t) head_store(acc[t], tiles, token + t, row, out);
}

template <int NT>
inline void head_few(const unsigned char* tile, size_t exact_at, size_t tile_bytes, const float* scale, const HeadQuery& q, int token, int row, const HeadOutput& out) {
  const unsigned char* exact = tile + exact_at;
  V16 acc[NT][1];
  head_groups<false, 1, NT>(&tile, code_bytes(Codes::split), &exact, kExactBytes, scale, q, token, acc, nullptr, tile_bytes);
  for (int t = 0; t < NT; ++t) head_store(acc[t], 1, token + t, row, out);
}

// Tiles first_tile .. + tiles, at most two: their products, whole tiles, and the largest.
// near: [tokens, near_ld]; best: [tokens, best_ld]; scratch: head_scratch(cols) bytes.
void head_scan(const PackedView& w, int first_tile, int tiles, const HeadQuery& q, float* near, int64_t near_ld, float* best, int64_t best_ld, uint8_t* scratch) {
  float* scale = (float*)scratch;
  HeadOutput out{near, near_ld, best, best_ld, false};
  if (q.tokens <= kFewTokens) {   // straight from the packed codes, which stay near for a second block
    for (int p = 0; p < tiles; ++p) {
      const unsigned char* tile = w.tile(first_tile + p);
      for (int g = 0; g < q.groups; ++g) {
        store(scale + g * kRows, from_f16((const unsigned short*)(tile + w.scales_at) + g * kRows));
        if (g % 2 == 0) ask_for<64, true>(tile + w.scales_at + (size_t)g * 2 * kRows, w.tile_bytes);
      }
      out.onto = p > 0;
      const int blocks = (q.tokens + kFew - 1) / kFew;
      for (int b = 0, t = 0; b < blocks; ++b) {
        int n = (q.tokens - t) / (blocks - b);
#define GW_TOKENS(N) case N: if constexpr (N <= kFew) head_few<N>(tile, w.exact_at, w.tile_bytes, scale, q, t, p * kRows, out); break;
        switch (n) { GW_TOKENS(1) GW_TOKENS(2) GW_TOKENS(3) GW_TOKENS(4) GW_TOKENS(5) GW_TOKENS(6) GW_TOKENS(7) GW_TOKENS(8) }
#undef GW_TOKENS
        t += n;
      }
    }
    return;
  }
  unsigned char* bytes = scratch + (size_t)q.groups * kTiles * kRows * 4;
  for (int first = 0; first < tiles; first += kTiles) {
    const unsigned char *codes[kTiles], *exact[kTiles];
    for (int p = 0; p < kTiles; ++p) {
      const unsigned char* tile = w.tile(first_tile + first + (first + p < tiles ? p : 0));
      unsigned char *to = bytes + (size_t)p * q.cols * kRows, *kept = bytes + (size_t)kTiles * q.cols * kRows + (size_t)p * q.groups * kExact * kRows;
      for (int g = 0; g < q.groups; ++g) {
        unpack<Codes::u4>(tile + (size_t)g * code_bytes(Codes::split), to + (size_t)g * kGroup * kRows);
        unpack<Codes::u4, kExact / kStep>(tile + w.exact_at + (size_t)g * kExactBytes, kept + (size_t)g * kExact * kRows);
        store(scale + ((size_t)g * kTiles + p) * kRows, from_f16((const unsigned short*)(tile + w.scales_at) + g * kRows));
      }
      codes[p] = to;
      exact[p] = kept;
    }
    constexpr int kMost = kTokens;
    out.onto = first > 0;
    const unsigned char* next = w.tile(first_tile + first + kTiles);
    const int blocks = (q.tokens + kMost - 1) / kMost, left = tiles - first < kTiles ? tiles - first : kTiles;
    Ahead ahead{next, next + kTiles * w.tile_bytes, (int)(kTiles * w.tile_bytes / 64) / (q.groups * blocks) + 1};
    for (int b = 0, t = 0; b < blocks; ++b) {
      int n = (q.tokens - t) / (blocks - b);
#define GW_TOKENS(N) case N: if constexpr (N <= kMost) head_tokens<N>(codes, exact, scale, q, t, left, first * kRows, out, &ahead); break;
      switch (n) { GW_TOKENS(1) GW_TOKENS(2) GW_TOKENS(3) GW_TOKENS(4) GW_TOKENS(5) GW_TOKENS(6) GW_TOKENS(7) GW_TOKENS(8) }
#undef GW_TOKENS
      t += n;
    }
  }
}

inline float row_scale(const PackedView& w, int row, int g) {
  return half_to_float((const unsigned short*)(w.tile(row / kRows) + w.scales_at) + g * kRows + row % kRows);
}

// What the low halves of the columns that are not exact add to head_scan's result for one row and token.
float head_refine(const PackedView& w, int row, const HeadQuery& q, int token) {
  const unsigned char* low = w.low(row);
  const signed char* x = (const signed char*)q.rest + (size_t)token * q.cols;
  float total = 0.0f;
  for (int g = 0; g < q.groups; ++g, low += kGroup / 2, x += kGroup)
    total = fma_scalar(row_scale(w, row, g) * q.scale[(size_t)g * q.tokens + token], (float)(dot_halves(low, x) + q.rest_start[(size_t)g * q.tokens + token]), total);
  return total;
}

// W[row] . x[token], bit for bit what linear_quantised computes: the same integers and the same order of floats.
float head_exact(const PackedView& w, int row, const HeadQuery& q, int token) {
  const unsigned char *low = w.low(row), *tile = w.tile(row / kRows) + row % kRows * kStep;
  const short* x = q.code + (size_t)token * q.cols;
  float total = 0.0f;
  for (int g = 0; g < q.groups; ++g, low += kGroup / 2, x += kGroup, tile += code_bytes(Codes::split)) {
    int sum = 0;
    for (int pair = 0; pair < kSteps / 2; ++pair)
      for (int k = 0; k < kStep; ++k) {
        int high = tile[pair * kStepBytes + k], column = 2 * pair * kStep + k, next = column + kStep;
        int first = column < kGroup / 2 ? low[column] & 15 : low[column - kGroup / 2] >> 4;
        int second = next < kGroup / 2 ? low[next] & 15 : low[next - kGroup / 2] >> 4;
        sum += ((high & 15) * 16 + first - 128) * x[column] + ((high >> 4) * 16 + second - 128) * x[next];
      }
    total = fma_scalar((float)sum, row_scale(w, row, g) * q.wide_scale[(size_t)token * q.groups + g], total);
  }
  return total;
}

// Codes of 8 bits of a group of a split tile, as a group of s8: where all products are wanted.
inline void join(const PackedView& w, int tile_index, int g, unsigned char* to) {
  join_halves(w.tile(tile_index) + (size_t)g * code_bytes(Codes::split), w.low(tile_index * kRows) + g * (kGroup / 2), (size_t)w.cols / 2, to);
}
