// Attention over a paged cache, 256 keys (a span) at a time, exact softmax by partial results.
//
// The order of every sum depends only on the positions of a query and its keys: spans and pages start at fixed
// positions, keys are added in ascending order, and a page a query cannot see leaves its row untouched. So chunking,
// batching and threads never change a bit. Online softmax: arXiv:1805.02867; tiles: arXiv:2205.14135.

constexpr int kQueryRows = 4;

// scores[r, 0..15] = q[r] . keys[:, 0..15] for NR rows, summed in the order of the dimension. keys: [dim, 16].
template <int NR>
inline void score_rows(const float* q, int dim, const float* keys, float* scores) {
  V16 acc[NR];
  for (int r = 0; r < NR; ++r) acc[r] = zero();
  for (int d = 0; d < dim; ++d) {
    V16 column = load(keys + (size_t)d * 16);
    for (int r = 0; r < NR; ++r) acc[r] = fma(set1(q[(size_t)r * dim + d]), column, acc[r]);
  }
  for (int r = 0; r < NR; ++r) store(scores + (size_t)r * kPage, acc[r]);
}

// out[r, 0..n) = out[r] alpha[r] + sum over j in [first, last) of weights[r, j] values[j, 0..n), n <= 16. values: [32, 16].
template <int NR>
inline void value_rows(float* out, int dim, int n, const float* alpha, const float* weights, const float* values, int first, int last) {
  V16 acc[NR];
  for (int r = 0; r < NR; ++r) acc[r] = mul(n == 16 ? load(out + (size_t)r * dim) : load_n(out + (size_t)r * dim, n), set1(alpha[r]));
  for (int j = first; j < last; ++j) {
    V16 value = load(values + (size_t)j * 16);
    for (int r = 0; r < NR; ++r) acc[r] = fma(set1(weights[r * kPage + j]), value, acc[r]);
  }
  for (int r = 0; r < NR; ++r)
    if (n == 16) store(out + (size_t)r * dim, acc[r]);
    else store_n(out + (size_t)r * dim, acc[r], n);
}

// Scores of one row on one page become weights; returns what the row's output so far must be multiplied by.
// The row sees keys from..to of the page; the weights of the others become 0.
inline float soften(float* w, int from, int to, float softcap, float* max_seen, float* sum) {
  if (from >= to) {                                  // sees nothing here: its output must not change
    store(w, zero());
    store(w + 16, zero());
    return 1.0f;
  }
  if (softcap > 0.0f)
    for (int half = 0; half < kPage; half += 16) store(w + half, mul(set1(softcap), tanh(div(load(w + half), set1(softcap)))));
  for (int j = 0; j < from; ++j) w[j] = -__builtin_inff();
  for (int j = to; j < kPage; ++j) w[j] = -__builtin_inff();
  V16 low = load(w), high = load(w + 16);
  float top = reduce_max(max(low, high));
  top = top > *max_seen ? top : *max_seen;
  store(w, exp(sub(low, set1(top))));
  store(w + 16, exp(sub(high, set1(top))));
  for (int j = 0; j < from; ++j) w[j] = 0.0f;         // exp stops at 1e-38, not at 0
  for (int j = to; j < kPage; ++j) w[j] = 0.0f;
  float alpha = *max_seen == -__builtin_inff() ? 0.0f : exp(*max_seen - top);
  *max_seen = top;
  *sum = fma_scalar(*sum, alpha, reduce_add(add(load(w), load(w + 16))));
  return alpha;
}

// All query rows of a block on one page. Sixteen keys, then sixteen dimensions of the values, stay in the first-level
// cache while every row passes over them.
inline void attend_page(const AttendBlock& b, int first_key, const float* keys, const float* values, const float* q,
                        float* out, float* max_seen, float* sum, float* weights, float* alpha) {
  const int rows = b.tokens * b.heads, dim = b.head_dim;
  for (int half = 0; half < 2; ++half) {
    const float* k16 = keys + (size_t)half * dim * 16;
    int r = 0;
    for (; r + kQueryRows <= rows; r += kQueryRows) score_rows<kQueryRows>(q + (size_t)r * dim, dim, k16, weights + r * kPage + half * 16);
    for (; r < rows; ++r) score_rows<1>(q + (size_t)r * dim, dim, k16, weights + r * kPage + half * 16);
  }
  int first = kPage, last = 0;
  for (int r = 0; r < rows; ++r) {
    int position = b.position + r / b.heads;
    int from = b.window ? position - b.window + 1 - first_key : 0, to = position + 1 - first_key;
    from = from < 0 ? 0 : from;
    to = to > kPage ? kPage : to;
    if (from < to) { first = from < first ? from : first; last = to > last ? to : last; }
    alpha[r] = soften(weights + r * kPage, from, to, b.softcap, max_seen + r, sum + r);
  }
  for (int d = 0; d < dim; d += 16, values += kPage * 16) {
    int n = dim - d < 16 ? dim - d : 16, r = 0;
    for (; r + kQueryRows <= rows; r += kQueryRows) value_rows<kQueryRows>(out + (size_t)r * dim + d, dim, n, alpha + r, weights + r * kPage, values, first, last);
    for (; r < rows; ++r) value_rows<1>(out + (size_t)r * dim + d, dim, n, alpha + r, weights + r * kPage, values, first, last);
  }
}

void attend_span(const AttendBlock& b, int span_first, float* out, float* max_seen, float* sum, float* scratch) {
  const int rows = b.tokens * b.heads, dim = b.head_dim, values_dim = (dim + 15) / 16 * 16;
  float* q = scratch;
  float* weights = scratch + (size_t)rows * dim;
  float* alpha = weights + (size_t)rows * kPage;
  for (int r = 0; r < rows; ++r) {
    const float* from = b.q + (r / b.heads) * b.q_token_stride + (size_t)(r % b.heads) * dim;
    scale_row(from, b.scale, q + (size_t)r * dim, dim);
    for (int d = 0; d < dim; ++d) out[(size_t)r * dim + d] = 0.0f;
    max_seen[r] = -__builtin_inff();
    sum[r] = 0.0f;
  }
  int last_position = b.position + b.tokens - 1;
  int oldest = b.window ? b.position - b.window + 1 : 0;
  for (int first = span_first; first < span_first + kSpan && first <= last_position; first += kPage) {
    if (first + kPage <= oldest) continue;
    size_t page = (size_t)b.table[(first / kPage) % b.ring] * b.kv_heads + b.kv_head;
    attend_page(b, first, b.k + page * dim * kPage, b.v + page * values_dim * kPage, q, out, max_seen, sum, weights, alpha);
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
