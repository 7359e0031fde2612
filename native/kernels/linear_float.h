// y[t, row] = sum over k of W[row, k] x[t, k], in the order of k, for float weights of any width.

template <Codes C>
inline V16 load_weights(const unsigned char* at, int k) {
  if constexpr (C == Codes::f32) return load((const float*)at + (size_t)k * kRows);
  if constexpr (C == Codes::f16) return from_f16((const unsigned short*)at + (size_t)k * kRows);
  if constexpr (C == Codes::bf16) return from_bf16((const unsigned short*)at + (size_t)k * kRows);
}

template <Codes C, int NT>
inline void float_block(const PackedView& w, int tile, const float* x, float* y, int64_t ld) {
  const unsigned char* at = w.tile(tile);
  V16 acc[NT];
  for (int t = 0; t < NT; ++t) acc[t] = zero();
  for (int k = 0; k < w.cols; ++k) {
    V16 column = load_weights<C>(at, k);
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t) acc[t] = fma(column, set1(x[(size_t)t * w.cols + k]), acc[t]);
  }
  int left = w.rows - tile * kRows;
  for (int t = 0; t < NT; ++t) {
    float* to = y + t * ld + (size_t)tile * kRows;
    if (left >= kRows) store(to, acc[t]);
    else store_n(to, acc[t], left);
  }
}

template <Codes C>
inline void float_tile(const PackedView& w, int tile, const float* x, int begin, int end, float* y, int64_t ld) {
  int t = begin;
  for (; kFloatTokens > 4 && t + kFloatTokens <= end; t += kFloatTokens) float_block<C, kFloatTokens>(w, tile, x + (size_t)t * w.cols, y + t * ld, ld);
  for (; t + 4 <= end; t += 4) float_block<C, 4>(w, tile, x + (size_t)t * w.cols, y + t * ld, ld);
  for (; t < end; ++t) float_block<C, 1>(w, tile, x + (size_t)t * w.cols, y + t * ld, ld);
}

void linear_float(const PackedView& w, int tile, const float* x, int begin, int end, float* y, int64_t ld) {
  switch (w.codes) {
    case Codes::f32: return float_tile<Codes::f32>(w, tile, x, begin, end, y, ld);
    case Codes::f16: return float_tile<Codes::f16>(w, tile, x, begin, end, y, ld);
    default: return float_tile<Codes::bf16>(w, tile, x, begin, end, y, ld);
  }
}
