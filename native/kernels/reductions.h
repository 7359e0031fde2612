// What needs a whole row before it can write the first value: one row a call. Formulas: core/kernels.h.

float mean_square(const float* x, int n) {
  V16 squares = zero();
  int i = 0;
  for (; i + 16 <= n; i += 16) { V16 a = load(x + i); squares = fma(a, a, squares); }
  if (i < n) { V16 a = load_n(x + i, n - i); squares = fma(a, a, squares); }
  return reduce_add(squares) / (float)n;
}

void softmax(const float* x, float* y, int n) {
  V16 top = set1(max_value(x, n)), sum = zero();
  int i = 0;
  for (; i + 16 <= n; i += 16) { V16 e = exp(sub(load(x + i), top)); store(y + i, e); sum = add(sum, e); }
  float total = reduce_add(sum);
  if (i < n) store_n(y + i, exp(sub(load_n(x + i, n - i), top)), n - i);
  for (; i < n; ++i) total += y[i];
  scale_row(y, 1.0f / total, y, n);
}

void sparsify(const float* x, float deviations, float* y, int n) {
  V16 sum = zero();
  int i = 0;
  for (; i + 16 <= n; i += 16) sum = add(load(x + i), sum);
  if (i < n) sum = add(load_n(x + i, n - i), sum);
  const float mean = reduce_add(sum) / (float)n;
  V16 middle = set1(mean), squares = zero();
  for (i = 0; i + 16 <= n; i += 16) { V16 a = sub(load(x + i), middle); squares = fma(a, a, squares); }
  float total = reduce_add(squares);
  for (int j = i; j < n; ++j) total = fma_scalar(x[j] - mean, x[j] - mean, total);
  V16 cut = set1(fma_scalar(deviations, __builtin_sqrtf(total / (float)n), mean));
  for (i = 0; i + 16 <= n; i += 16) store(y + i, max(sub(load(x + i), cut), zero()));
  if (i < n) store_n(y + i, max(sub(load_n(x + i, n - i), cut), zero()), n - i);
}
