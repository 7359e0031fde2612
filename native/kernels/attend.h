// Attention over a paged cache, 256 keys (a span) at a time, exact softmax by partial results.
//
// The order of every sum depends only on the positions of a query and its keys: spans and pages start at fixed
// positions, keys are added in ascending order, and a page a query cannot see leaves its row untouched. So chunking,
// batching and threads never change a bit. Online softmax: arXiv:1805.02867; tiles: arXiv:2205.14135.

constexpr int kQueryRows = 4;

// scores[r, 0..31] = q[r] . K[:, 0..31] for NR rows, summed in the order of the dimension.
template <int NR>
inline void page_scores(const float* q, int dim, const float* keys, float* scores) {
  for (int half = 0; half < kPage; half += 16) {
    V16 acc[NR];
    for (int r = 0; r < NR; ++r) acc[r] = zero();
    for (int d = 0; d < dim; ++d) {
      V16 column = load(keys + (size_t)d * kPage + half);
      for (int r = 0; r < NR; ++r) acc[r] = fma(set1(q[(size_t)r * dim + d]), column, acc[r]);
    }
    for (int r = 0; r < NR; ++r) store(scores + r * kPage + half, acc[r]);
  }
}

// out[r] = out[r] alpha[r] + sum over j in [first, last) of weights[r, j] V[j].
template <int NR>
inline void page_values(float* out, int dim, const float* alpha, const float* weights, const float* values, int first, int last) {
  int d = 0;
  for (; d + 16 <= dim; d += 16) {
    V16 acc[NR];
    for (int r = 0; r < NR; ++r) acc[r] = mul(load(out + (size_t)r * dim + d), set1(alpha[r]));
    for (int j = first; j < last; ++j) {
      V16 value = load(values + (size_t)j * dim + d);
      for (int r = 0; r < NR; ++r) acc[r] = fma(set1(weights[r * kPage + j]), value, acc[r]);
    }
    for (int r = 0; r < NR; ++r) store(out + (size_t)r * dim + d, acc[r]);
  }
  if (d == dim) return;
  for (int r = 0; r < NR; ++r) {
    V16 acc = mul(load_n(out + (size_t)r * dim + d, dim - d), set1(alpha[r]));
    for (int j = first; j < last; ++j) acc = fma(set1(weights[r * kPage + j]), load_n(values + (size_t)j * dim + d, dim - d), acc);
    store_n(out + (size_t)r * dim + d, acc, dim - d);
  }
}

// One page for NR consecutive rows: scores, softmax update, values. Row r is query token (row0 + r) / heads.
template <int NR>
inline void page_rows(const AttendBlock& b, int row0, int page_first, const float* keys, const float* values, const float* q,
                      float* out, float* max_seen, float* sum, float* weights) {
  page_scores<NR>(q, b.head_dim, keys, weights);
  float alpha[NR];
  int first = kPage, last = 0;
  for (int r = 0; r < NR; ++r) {
    int position = b.position + (row0 + r) / b.heads;
    int from = b.window ? position - b.window + 1 - page_first : 0, to = position + 1 - page_first;
    from = from < 0 ? 0 : from;
    to = to > kPage ? kPage : to;
    float* w = weights + r * kPage;
    alpha[r] = 1.0f;
    if (from >= to) {                                  // this query sees nothing here: its row must not change
      for (int j = 0; j < kPage; ++j) w[j] = 0.0f;
      continue;
    }
    first = from < first ? from : first;
    last = to > last ? to : last;
    V16 low = load(w), high = load(w + 16);
    if (b.softcap > 0.0f) {
      low = mul(set1(b.softcap), tanh(div(low, set1(b.softcap))));
      high = mul(set1(b.softcap), tanh(div(high, set1(b.softcap))));
      store(w, low);
      store(w + 16, high);
    }
    for (int j = 0; j < from; ++j) w[j] = -__builtin_inff();
    for (int j = to; j < kPage; ++j) w[j] = -__builtin_inff();
    low = load(w);
    high = load(w + 16);
    float top = reduce_max(max(low, high));
    top = top > max_seen[r] ? top : max_seen[r];
    low = exp(sub(low, set1(top)));
    high = exp(sub(high, set1(top)));
    store(w, low);
    store(w + 16, high);
    for (int j = 0; j < from; ++j) w[j] = 0.0f;         // exp stops at 1e-38, not at 0
    for (int j = to; j < kPage; ++j) w[j] = 0.0f;
    alpha[r] = max_seen[r] == -__builtin_inff() ? 0.0f : exp(max_seen[r] - top);
    max_seen[r] = top;
    sum[r] = fma_scalar(sum[r], alpha[r], reduce_add(add(load(w), load(w + 16))));
  }
  if (first < last) page_values<NR>(out, b.head_dim, alpha, weights, values, first, last);
}

void attend_span(const AttendBlock& b, int span_first, float* out, float* max_seen, float* sum, float* scratch) {
  const int rows = b.tokens * b.heads, dim = b.head_dim;
  float* q = scratch;
  float* weights = scratch + (size_t)rows * dim;
  for (int r = 0; r < rows; ++r) {
    const float* from = b.q + (r / b.heads) * b.q_token_stride + (size_t)(r % b.heads) * dim;
    for (int d = 0; d < dim; ++d) { q[(size_t)r * dim + d] = from[d] * b.scale; out[(size_t)r * dim + d] = 0.0f; }
    max_seen[r] = -__builtin_inff();
    sum[r] = 0.0f;
  }
  int last_position = b.position + b.tokens - 1;
  int oldest = b.window ? b.position - b.window + 1 : 0;
  for (int first = span_first; first < span_first + kSpan && first <= last_position; first += kPage) {
    if (first + kPage <= oldest) continue;
    size_t page = (size_t)b.table[(first / kPage) % b.ring] * b.kv_heads + b.kv_head;
    const float* keys = b.k + page * dim * kPage;
    const float* values = b.v + page * dim * kPage;
    int r = 0;
    for (; r + kQueryRows <= rows; r += kQueryRows)
      page_rows<kQueryRows>(b, r, first, keys, values, q + (size_t)r * dim, out + (size_t)r * dim, max_seen + r, sum + r, weights);
    for (; r < rows; ++r)
      page_rows<1>(b, r, first, keys, values, q + (size_t)r * dim, out + (size_t)r * dim, max_seen + r, sum + r, weights);
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
