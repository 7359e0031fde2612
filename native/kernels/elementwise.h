// Norm, rotation, gate, sums: one row or one token a call. Formulas and shapes: core/kernels.h.

void rms_norm(const float* x, const float* scale, float* y, int n, float eps) {
  V16 squares = zero();
  int i = 0;
  for (; i + 16 <= n; i += 16) { V16 a = load(x + i); squares = fma(a, a, squares); }
  if (i < n) { V16 a = load_n(x + i, n - i); squares = fma(a, a, squares); }
  V16 inverse = set1(1.0f / __builtin_sqrtf(reduce_add(squares) / (float)n + eps));
  for (i = 0; i + 16 <= n; i += 16) store(y + i, mul(mul(load(x + i), inverse), load(scale + i)));
  if (i < n) store_n(y + i, mul(mul(load_n(x + i, n - i), inverse), load_n(scale + i, n - i)), n - i);
}

// table: n / 2 cosines, then n / 2 sines.
void rope(const float* x, const float* table, float* y, int heads, int n) {
  int half = n / 2;
  for (int h = 0; h < heads; ++h, x += n, y += n) {
    int i = 0;
    for (; i + 16 <= half; i += 16) {
      V16 a = load(x + i), b = load(x + half + i), c = load(table + i), s = load(table + half + i);
      store(y + i, sub(mul(a, c), mul(b, s)));
      store(y + half + i, add(mul(b, c), mul(a, s)));
    }
    if (i == half) continue;
    int left = half - i;
    V16 a = load_n(x + i, left), b = load_n(x + half + i, left), c = load_n(table + i, left), s = load_n(table + half + i, left);
    store_n(y + i, sub(mul(a, c), mul(b, s)), left);
    store_n(y + half + i, add(mul(b, c), mul(a, s)), left);
  }
}

void geglu(const float* gate, const float* up, float* y, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, mul(gelu_tanh(load(gate + i)), load(up + i)));
  if (i < n) store_n(y + i, mul(gelu_tanh(load_n(gate + i, n - i)), load_n(up + i, n - i)), n - i);
}

void add_rows(const float* a, const float* b, float* y, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, add(load(a + i), load(b + i)));
  if (i < n) store_n(y + i, add(load_n(a + i, n - i), load_n(b + i, n - i)), n - i);
}

void add_scaled(const float* x, float factor, const float* d, float* y, int n) {
  V16 f = set1(factor);
  int i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, fma(load(d + i), f, load(x + i)));
  if (i < n) store_n(y + i, fma(load_n(d + i, n - i), f, load_n(x + i, n - i)), n - i);
}

void softcap(const float* x, float cap, float* y, int n) {
  V16 c = set1(cap);
  int i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, mul(c, tanh(div(load(x + i), c))));
  if (i < n) store_n(y + i, mul(c, tanh(div(load_n(x + i, n - i), c))), n - i);
}

void scale_row(const float* x, float factor, float* y, int n) {
  V16 f = set1(factor);
  int i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, mul(load(x + i), f));
  if (i < n) store_n(y + i, mul(load_n(x + i, n - i), f), n - i);
}

float max_value(const float* x, int n) {
  V16 best = set1(-__builtin_inff());
  int i = 0;
  for (; i + 16 <= n; i += 16) best = max(load(x + i), best);
  float m = reduce_max(best);
  for (; i < n; ++i) m = x[i] > m ? x[i] : m;
  return m;
}

int argmax(const float* x, int n) {
  float best = max_value(x, n);
  V16 poison = zero(), top = set1(best);
  int i = 0;
  for (; i + 16 <= n; i += 16) poison = fma(load(x + i), zero(), poison);  // NaN and infinity times 0: NaN
  if (i < n) poison = fma(load_n(x + i, n - i), zero(), poison);
  if (!(reduce_add(poison) == 0.0f)) return -1;
  for (int i = 0; i < n; i += 16) {
    int left = n - i < 16 ? n - i : 16;
    unsigned equal = ~greater(top, load_n(x + i, left)) & ((1u << left) - 1u);
    if (equal) return i + __builtin_ctz(equal);
  }
  return -1;
}

// A row of candidates, smallest of the k best at the root; larger value first, lower index first among equals.
inline bool worse(const float* value, const int* at, int a, int b) {
  return value[a] < value[b] || (value[a] == value[b] && at[a] > at[b]);
}
inline void sift(float* value, int* at, int size, int i) {
  for (;;) {
    int least = i, l = 2 * i + 1, r = l + 1;
    if (l < size && worse(value, at, l, least)) least = l;
    if (r < size && worse(value, at, r, least)) least = r;
    if (least == i) return;
    float v = value[i]; value[i] = value[least]; value[least] = v;
    int a = at[i]; at[i] = at[least]; at[least] = a;
    i = least;
  }
}

void top_k(const float* x, int n, int k, float* value, int* at) {
  for (int i = 0; i < k; ++i) { value[i] = x[i]; at[i] = i; }
  for (int i = k / 2 - 1; i >= 0; --i) sift(value, at, k, i);
  for (int i = k; i < n; i += 16) {
    int left = n - i < 16 ? n - i : 16;
    unsigned larger = greater(load_n(x + i, left), set1(value[0])) & ((1u << left) - 1u);
    for (; larger; larger &= larger - 1) {
      int j = i + __builtin_ctz(larger);
      if (!(x[j] > value[0])) continue;
      value[0] = x[j];
      at[0] = j;
      sift(value, at, k, 0);
    }
  }
  for (int size = k - 1; size > 0; --size) {             // heap sort: the worst goes to the end
    float v = value[0]; value[0] = value[size]; value[size] = v;
    int a = at[0]; at[0] = at[size]; at[size] = a;
    sift(value, at, size, 0);
  }
}

float log_sum_exp(const float* x, int n) {
  float top = max_value(x, n);
  V16 offset = set1(top), sum = zero();
  int i = 0;
  for (; i + 16 <= n; i += 16) sum = add(sum, exp(sub(load(x + i), offset)));
  float total = reduce_add(sum);
  for (; i < n; ++i) total += exp(x[i] - top);
  return top + __builtin_logf(total);
}
