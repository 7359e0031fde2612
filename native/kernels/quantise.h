// Activations to int8 or int16, one token a call.

// The kOutliers columns of largest magnitude (the lowest column among equals), ascending.
inline void find_outliers(const float* x, int n, int* at) {
  float size[kOutliers];
  for (int j = 0; j < kOutliers; ++j) { size[j] = -1.0f; at[j] = -1; }
  for (int i = 0; i < n; i += 16) {          // n is a multiple of 32
    V16 a = abs(load(x + i));
    unsigned larger = greater(a, set1(size[kOutliers - 1]));
    if (!larger) continue;
    float values[16];
    store(values, a);
    for (; larger; larger &= larger - 1) {
      int l = __builtin_ctz(larger);
      if (!(values[l] > size[kOutliers - 1])) continue;
      int j = kOutliers - 1;      // insert, largest first
      for (; j > 0 && values[l] > size[j - 1]; --j) { size[j] = size[j - 1]; at[j] = at[j - 1]; }
      size[j] = values[l];
      at[j] = i + l;
    }
  }
  for (int a = 0; a < kOutliers; ++a)   // NaN everywhere leaves gaps: any columns will do, the answer is NaN anyway
    if (at[a] < 0) at[a] = a;
  for (int a = 1; a < kOutliers; ++a)
    for (int b = a; b > 0 && at[b] < at[b - 1]; --b) { int t = at[b]; at[b] = at[b - 1]; at[b - 1] = t; }
}

// Largest magnitude of a group; NaN when any value is NaN or infinite, so that bad input shows in the result.
inline float group_amax(const float* x) {
  V16 a = abs(load(x)), b = abs(load(x + 16));
  float sum = reduce_add(add(a, b));
  return sum - sum == 0.0f ? reduce_max(max(a, b)) : __builtin_nanf("");
}

// What values are multiplied by to become codes; 0 for a group of zeros, or of values so small that it overflows.
inline float inverse_scale(float amax, float limit) {
  float inverse = limit / amax;
  return inverse <= 3.4028235e38f ? inverse : 0.0f;
}

template <class Code>
inline void code_sums(const Code* q, int* sums) {
  for (int half = 0; half < 2; ++half) {
    int sum = 0;
    for (int i = 0; i < 16; ++i) sum += q[16 * half + i];
    sums[half] = sum;
  }
}

void quantise(const float* x, const Activations& out, int token) {
  const int n = out.cols;
  float* scale = out.scale + (size_t)token * out.groups;
  int* sums = out.sums + (size_t)token * out.groups * 2;
  if (out.q16) {
    short* q = out.q16 + (size_t)token * n;
    for (int g = 0; g < out.groups; ++g) {
      const float* xg = x + g * kGroup;
      float amax = group_amax(xg), inverse = inverse_scale(amax, 32767.0f);
      scale[g] = amax / 32767.0f;
      store_s16(q + g * kGroup, mul(load(xg), set1(inverse)));
      store_s16(q + g * kGroup + 16, mul(load(xg + 16), set1(inverse)));
      code_sums(q + g * kGroup, sums + 2 * g);
    }
    return;
  }
  signed char* q = (signed char*)out.q8 + (size_t)token * n;
  int* at = out.outlier_at + (size_t)token * kOutliers;
  float* kept = out.outlier + (size_t)token * kOutliers;
  find_outliers(x, n, at);
  for (int j = 0; j < kOutliers; ++j) kept[j] = x[at[j]];
  int next = 0;
  for (int g = 0; g < out.groups; ++g) {
    float xg[kGroup];
    store(xg, load(x + g * kGroup));
    store(xg + 16, load(x + g * kGroup + 16));
    for (; next < kOutliers && at[next] < (g + 1) * kGroup; ++next) xg[at[next] - g * kGroup] = 0.0f;
    float amax = group_amax(xg), inverse = inverse_scale(amax, 127.0f);
    scale[g] = amax / 127.0f;
    store_s8(q + g * kGroup, mul(load(xg), set1(inverse)));
    store_s8(q + g * kGroup + 16, mul(load(xg + 16), set1(inverse)));
    code_sums(q + g * kGroup, sums + 2 * g);
  }
}
