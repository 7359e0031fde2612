// Attention over a paged cache, 256 keys (a span) at a time, exact softmax by partial results.
//
// The order of every sum depends only on the positions of a query and its keys: spans start at fixed positions, keys
// are added in ascending order, and a key that a query cannot see has the weight 0, which changes no bit of a sum of
// finite values. So chunking, batching and threads never change a bit. Online softmax: arXiv:1805.02867; tiles: arXiv:2205.14135.

// Sixteen stored keys or values as floats, number `at` of a page, and what their products must be multiplied by.
struct KvF32 {
  static V16 get(const unsigned char* page, size_t at) { return load((const float*)page + 16 * at); }
};
struct KvF16 {
  static V16 get(const unsigned char* page, size_t at) { return from_f16((const unsigned short*)page + 16 * at); }
};
struct KvI8 {
  static V16 get(const unsigned char* page, size_t at) { return from_s8((const signed char*)page + 16 * at); }
  static const float* scales(const unsigned char* page, size_t vectors) { return (const float*)(page + 16 * vectors); }
};
template <class A, class B> inline constexpr bool kSame = false;
template <class A> inline constexpr bool kSame<A, A> = true;

// scores[r, 0..31] = q[r] . keys[:, 0..31] for NR rows, summed in the order of the dimension. keys: [2, dim, 16].
template <class Kv, int NR>
inline void score_rows(const float* q, int dim, const unsigned char* keys, float* scores) {
  V16 acc[NR][2];
  for (int r = 0; r < NR; ++r) acc[r][0] = acc[r][1] = zero();
  for (int d = 0; d < dim; ++d) {
    V16 low = Kv::get(keys, d), high = Kv::get(keys, dim + d);
#pragma GCC unroll 8
    for (int r = 0; r < NR; ++r) {
      V16 x = set1(q[(size_t)r * dim + d]);
      acc[r][0] = fma(x, low, acc[r][0]);
      acc[r][1] = fma(x, high, acc[r][1]);
    }
  }
  for (int r = 0; r < NR; ++r)
    for (int half = 0; half < 2; ++half) {
      if constexpr (kSame<Kv, KvI8>) acc[r][half] = mul(acc[r][half], load(KvI8::scales(keys, 2 * dim) + 16 * half));
      store(scores + (size_t)r * kSpan + 16 * half, acc[r][half]);
    }
}

// The part of a span that some query of a block sees: pages, and within the first and the last of them keys.
struct Seen {
  int first_page, end_page;            // counted from the span's first
  int first, end;                      // keys, from the span's first
  const unsigned char *k[kSpan / kPage], *v[kSpan / kPage];
};

// out[r, 16 s ..] = sum over seen keys of weights[r, key] values[key, 16 s ..] for NR rows and NS slices of dimensions.
template <class Kv, int NR, int NS>
inline void value_rows(const Seen& seen, int slice, const float* weights, float* out, int dim) {
  V16 acc[NR][NS];
  for (int r = 0; r < NR; ++r)
    for (int s = 0; s < NS; ++s) acc[r][s] = zero();
  for (int page = seen.first_page; page < seen.end_page; ++page) {
    const int first = seen.first > page * kPage ? seen.first : page * kPage;
    const int end = seen.end < (page + 1) * kPage ? seen.end : (page + 1) * kPage;
    const unsigned char* v = seen.v[page];
    for (int key = first; key < end; ++key) {
      V16 value[NS];
      for (int s = 0; s < NS; ++s) value[s] = Kv::get(v, (size_t)(slice + s) * kPage + key - page * kPage);
#pragma GCC unroll 8
      for (int r = 0; r < NR; ++r) {
        V16 w = set1(weights[(size_t)r * kSpan + key]);
        for (int s = 0; s < NS; ++s) acc[r][s] = fma(w, value[s], acc[r][s]);
      }
    }
  }
  for (int r = 0; r < NR; ++r)
    for (int s = 0; s < NS; ++s) {
      int at = (slice + s) * 16, n = dim - at < 16 ? dim - at : 16;
      if (n == 16) store(out + (size_t)r * dim + at, acc[r][s]);
      else store_n(out + (size_t)r * dim + at, acc[r][s], n);
    }
}

// Scores of one row become weights; the row sees keys from..to of the span, those of the others become 0.
template <class Kv>
inline void soften(const Seen& seen, float* w, int from, int to, int values, float softcap, float* max_seen, float* sum) {
  const int begin = seen.first_page * kPage, end = seen.end_page * kPage;
  V16 total = zero(), top = set1(-__builtin_inff());
  if (from < to) {
    if (softcap > 0.0f)
      for (int j = begin; j < end; j += 16) store(w + j, mul(set1(softcap), tanh(div(load(w + j), set1(softcap)))));
    for (int j = begin; j < from; ++j) w[j] = -__builtin_inff();
    for (int j = to; j < end; ++j) w[j] = -__builtin_inff();
    for (int j = begin; j < end; j += 16) top = max(load(w + j), top);
    *max_seen = reduce_max(top);
    top = set1(*max_seen);
    for (int j = begin; j < end; j += 16) store(w + j, exp(sub(load(w + j), top)));
  }
  for (int j = begin; j < (from < to ? from : end); ++j) w[j] = 0.0f;     // exp stops at 1e-38, not at 0
  for (int j = to > begin ? to : begin; j < end; ++j) w[j] = 0.0f;
  for (int j = begin; j < end; j += 16) total = add(total, load(w + j));
  *sum = reduce_add(total);
  if constexpr (kSame<Kv, KvI8>)
    for (int j = begin; j < end; j += 16) store(w + j, mul(load(w + j), load(KvI8::scales(seen.v[j / kPage], values) + j % kPage)));
}

template <class Kv>
inline void attend_span_as(const AttendBlock& b, int span_first, float* out, float* max_seen, float* sum, float* scratch) {
  const int rows = b.tokens * b.heads, dim = b.head_dim, slices = (dim + 15) / 16;
  float *q = scratch, *weights = scratch + (size_t)rows * dim;
  for (int r = 0; r < rows; ++r) {
    scale_row(b.q + (r / b.heads) * b.q_token_stride + (size_t)(r % b.heads) * dim, b.scale, q + (size_t)r * dim, dim);
    max_seen[r] = -__builtin_inff();
  }
  const int oldest = b.window && b.position >= b.window ? b.position - b.window + 1 : 0;
  Seen seen{};
  seen.first = oldest > span_first ? oldest - span_first : 0;
  seen.end = b.furthest - span_first + 1 < kSpan ? b.furthest - span_first + 1 : kSpan;
  seen.first_page = seen.first / kPage;
  seen.end_page = (seen.end + kPage - 1) / kPage;
  for (int page = seen.first_page; page < seen.end_page; ++page) {
    size_t at = (size_t)b.table[(span_first / kPage + page) % b.ring] * b.kv_heads + b.kv_head;
    seen.k[page] = b.k + at * key_page_bytes(b.format, dim);
    seen.v[page] = b.v + at * value_page_bytes(b.format, dim);
    float* to = weights + page * kPage;
    int r = 0;
    for (; r + 8 <= rows; r += 8) score_rows<Kv, 8>(q + (size_t)r * dim, dim, seen.k[page], to + (size_t)r * kSpan);
    for (; r + 4 <= rows; r += 4) score_rows<Kv, 4>(q + (size_t)r * dim, dim, seen.k[page], to + (size_t)r * kSpan);
    for (; r < rows; ++r) score_rows<Kv, 1>(q + (size_t)r * dim, dim, seen.k[page], to + (size_t)r * kSpan);
  }
  for (int r = 0; r < rows; ++r) {
    int position = b.position + r / b.heads - span_first, past = b.reach[r / b.heads] - span_first + 1;
    int from = b.window && position >= b.window ? position - b.window + 1 : 0, to = past < seen.end ? past : seen.end;
    soften<Kv>(seen, weights + (size_t)r * kSpan, from, to, slices * kPage, b.softcap, max_seen + r, sum + r);
  }
  for (int s = 0; s < slices; s += 2) {
    int r = 0;
#define GW_VALUES(NR) \
  for (; r + NR <= rows; r += NR) \
    if (s + 2 <= slices) value_rows<Kv, NR, 2>(seen, s, weights + (size_t)r * kSpan, out + (size_t)r * dim, dim); \
    else value_rows<Kv, NR, 1>(seen, s, weights + (size_t)r * kSpan, out + (size_t)r * dim, dim);
    GW_VALUES(8) GW_VALUES(4) GW_VALUES(1)
#undef GW_VALUES
  }
}

void attend_span(const AttendBlock& b, int span_first, float* out, float* max_seen, float* sum, float* scratch) {
  switch (b.format) {
    case KvFormat::f32: return attend_span_as<KvF32>(b, span_first, out, max_seen, sum, scratch);
    case KvFormat::f16: return attend_span_as<KvF16>(b, span_first, out, max_seen, sum, scratch);
    default: return attend_span_as<KvI8>(b, span_first, out, max_seen, sum, scratch);
  }
}

void attend_merge(float* out, float* max_seen, float* sum, const float* part, const float* part_max, const float* part_sum, int rows, int dim) {
  for (int r = 0; r < rows; ++r, out += dim, part += dim) {
    if (part_max[r] == -__builtin_inff()) continue;
    float top = max_seen[r] > part_max[r] ? max_seen[r] : part_max[r];
    float keep = max_seen[r] == -__builtin_inff() ? 0.0f : exp(max_seen[r] - top), take = exp(part_max[r] - top);
    max_seen[r] = top;
    sum[r] = fma_scalar(sum[r], keep, part_sum[r] * take);
    int d = 0;
    for (; d + 16 <= dim; d += 16) store(out + d, fma(load(out + d), set1(keep), mul(load(part + d), set1(take))));
    if (d < dim) store_n(out + d, fma(load_n(out + d, dim - d), set1(keep), mul(load_n(part + d, dim - d), set1(take))), dim - d);
  }
}

// One token's key and value into column `column` of their pages. key, value: [dim].
void write_kv(KvFormat format, uint8_t* key_page, uint8_t* value_page, int column, const float* key, const float* value, int dim) {
  const int slices = (dim + 15) / 16;
  uint8_t* keys = key_page + (size_t)(column / 16) * dim * 16 * kv_bytes(format);
  float key_inverse = 0.0f, value_inverse = 0.0f;
  if (format == KvFormat::i8) {
    const float* from[2] = {key, value};
    float* scales[2] = {(float*)(key_page + (size_t)2 * dim * 16) + column, (float*)(value_page + (size_t)slices * kPage * 16) + column};
    float* inverse[2] = {&key_inverse, &value_inverse};
    for (int i = 0; i < 2; ++i) {
      V16 most = zero(), poison = zero();   // NaN and infinity times 0: NaN, which a maximum would lose
      for (int d = 0; d < dim; d += 16) {
        V16 x = load_n(from[i] + d, dim - d < 16 ? dim - d : 16);
        most = max(abs(x), most);
        poison = fma(x, zero(), poison);
      }
      float amax = reduce_max(most) + reduce_add(poison), inv = 127.0f / amax;
      *scales[i] = amax / 127.0f;
      *inverse[i] = inv <= 3.4028235e38f ? inv : 0.0f;
    }
  }
  for (int s = 0; s < slices; ++s) {
    const int n = dim - 16 * s < 16 ? dim - 16 * s : 16;
    V16 k = load_n(key + 16 * s, n), v = load_n(value + 16 * s, n);
    size_t value_at = ((size_t)s * kPage + column) * 16;
    if (format == KvFormat::f32) {
      float lanes[16];
      store(lanes, k);
      for (int i = 0; i < n; ++i) ((float*)keys)[(size_t)(16 * s + i) * 16 + column % 16] = lanes[i];
      store((float*)value_page + value_at, v);
    } else if (format == KvFormat::f16) {
      unsigned short lanes[16];
      store_f16(lanes, k);
      for (int i = 0; i < n; ++i) ((unsigned short*)keys)[(size_t)(16 * s + i) * 16 + column % 16] = lanes[i];
      store_f16((unsigned short*)value_page + value_at, v);
    } else {
      signed char lanes[16];
      store_s8(lanes, mul(k, set1(key_inverse)));
      for (int i = 0; i < n; ++i) ((signed char*)keys)[(size_t)(16 * s + i) * 16 + column % 16] = lanes[i];
      store_s8((signed char*)value_page + value_at, mul(v, set1(value_inverse)));
    }
  }
}
