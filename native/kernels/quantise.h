// Activations to int8 or int16, one token a call, without a branch that depends on a value.

// How many of x[0..n) come before x[i] when sorted: larger ones, and of equal ones those with a lower index. The list
// is filled up to a whole vector with values below all others.
inline int rank_of(const float* x, int n, int i) {
  V16 own = set1(x[i]);
  int before = 0;
  for (int j = 0; j < n; j += 16) {
    V16 other = load(x + j);
    unsigned lower = j + 16 <= i ? 0xffffu : j <= i ? (1u << (i - j)) - 1u : 0u;
    before += __builtin_popcount(greater(other, own) | (~greater(own, other) & lower));
  }
  return before;
}

// The k columns of largest magnitude (the lowest column among equals), ascending. k is 4 or a multiple of 8, n a
// multiple of 32 and at least 2 k; values are finite.
// Two k lanes each hold the maximum of their own columns, so at least k columns reach the k-th largest of those.
inline void find_outliers(const float* x, int n, int k, int* at, float* candidate, int* column) {
  const int parts = k <= 8 ? 1 : k / 8, lanes = 16 * parts;
  alignas(64) float most[2 * kMostOutliers];
  for (int part = 0; part < parts; ++part) {
    V16 m = zero();
    for (int i = 16 * part; i < n; i += lanes) m = max(abs(load(x + i)), m);
    store(most + 16 * part, m);
  }
  float floor = 0.0f;
  for (int i = 0; i < lanes; ++i) floor = rank_of(most, lanes, i) == k - 1 ? most[i] : floor;
  int found = 0;
  for (int i = 0; i < n; i += 16) {
    V16 a = abs(load(x + i));
    found += compress(a, ~greater(set1(floor), a) & 0xffffu, i, candidate + found, column + found);
  }
  store(candidate + found, set1(-1.0f));
  int taken = 0;
  for (int i = 0; i < found; ++i) {     // in the order of columns; one that is not among the k is overwritten
    at[taken] = column[i];
    taken += rank_of(candidate, found, i) < k;
    if (taken == k) break;
  }
}

constexpr float kWideLimit = 32639.0f;   // 127 * 256 + 127: what two planes of bytes hold

inline V16 group_max(const float* x) { return max(abs(load(x)), abs(load(x + 16))); }

// A group's codes and their sums (exact in float: at most 16 * 32639).
inline void encode8(const float* x, float inverse, signed char* to, int* sums) {
  V16 low = round(mul(load(x), set1(inverse))), high = round(mul(load(x + 16), set1(inverse)));
  store_s8(to, low);
  store_s8(to + 16, high);
  sums[0] = (int)reduce_add(low);
  sums[1] = (int)reduce_add(high);
}

// int16 codes where the target wants them: in order, or high bytes, and `plane` bytes on, low ones.
inline void encode16(const float* x, float inverse, signed char* row, size_t plane, int first, int* sums) {
  for (int half = 0; half < 2; ++half) {
    V16 code = round(mul(load(x + 16 * half), set1(inverse)));
    sums[half] = (int)reduce_add(code);
    int at = first + 16 * half;
    if constexpr (kPlanes) {
      V16 high = round(fma(code, set1(1.0f / 256.0f), set1(1.0f / 1024.0f)));   // a half rounds up: low bytes reach from -128 to 127
      store_s8(row + at, high);
      store_s8(row + plane + at, fma(high, set1(-256.0f), code));
    } else {
      store_s16((short*)row + at, code);
    }
  }
}

// scale = amax / limit, inverse = limit / amax; 0 for a group of zeros, or of values so small that it overflows.
inline void scales_of(const float* amax, int groups, float limit, float* scale, float* inverse) {
  for (int g = 0; g < groups; g += 16) {
    int n = groups - g < 16 ? groups - g : 16;
    V16 a = n == 16 ? load(amax + g) : load_n(amax + g, n);
    store_n(scale + g, div(a, set1(limit)), n);
    store_n(inverse + g, div(set1(limit), a), n);
  }
  for (int g = 0; g < groups; ++g) inverse[g] = inverse[g] <= 3.4028235e38f ? inverse[g] : 0.0f;
}

// A row with a NaN or an infinity: everything computed from it will be NaN.
inline void spoil(const Activations& out, int token) {
  __builtin_memset(out.codes + (size_t)token * out.row_bytes(), 0, out.row_bytes());
  for (int g = 0; g < out.groups; ++g) {
    out.scale[(size_t)token * out.groups + g] = __builtin_nanf("");
    out.sums[((size_t)token * out.groups + g) * 2] = out.sums[((size_t)token * out.groups + g) * 2 + 1] = 0;
  }
  for (int j = 0; j < out.outliers; ++j) {
    out.outlier_at[(size_t)token * out.outliers + j] = j;
    out.outlier[(size_t)token * out.outliers + j] = __builtin_nanf("");
  }
}

// scratch: quantise_scratch(cols) bytes.
void quantise(const float* x, const Activations& out, int token, uint8_t* scratch) {
  const int n = out.cols, groups = out.groups;
  signed char* codes = (signed char*)out.codes + (size_t)token * out.row_bytes();
  float *scale = out.scale + (size_t)token * groups, *amax = (float*)scratch, *inverse = amax + groups + 16;
  int* sums = out.sums + (size_t)token * groups * 2;
  V16 poison = zero();
  for (int g = 0; g < groups; ++g) {
    V16 most = group_max(x + g * kGroup);
    poison = fma(add(load(x + g * kGroup), load(x + g * kGroup + 16)), zero(), poison);   // NaN and infinity times 0: NaN
    amax[g] = reduce_max(most);
  }
  if (!(reduce_add(poison) == 0.0f)) return spoil(out, token);
  if (out.wide) {
    scales_of(amax, groups, kWideLimit, scale, inverse);
    for (int g = 0; g < groups; ++g) encode16(x + g * kGroup, inverse[g], codes, n, g * kGroup, sums + 2 * g);
    return;
  }
  int* at = out.outlier_at + (size_t)token * out.outliers;
  float* candidate = inverse + groups + 16;
  find_outliers(x, n, out.outliers, at, candidate, (int*)(candidate + n + 32));

  // Groups that hold outliers: their other values, in a copy each.
  float *kept = out.outlier + (size_t)token * out.outliers, *clean = candidate;
  int dirty = 0, dirty_group[kMostOutliers];
  for (int j = 0; j < out.outliers; ++dirty) {
    int g = dirty_group[dirty] = at[j] / kGroup;
    float* copy = clean + dirty * kGroup;
    store(copy, load(x + g * kGroup));
    store(copy + 16, load(x + g * kGroup + 16));
    for (; j < out.outliers && at[j] / kGroup == g; ++j) {
      kept[j] = x[at[j]];
      copy[at[j] - g * kGroup] = 0.0f;
    }
    amax[g] = reduce_max(group_max(copy));
  }
  scales_of(amax, groups, 127.0f, scale, inverse);
  for (int g = 0; g < groups; ++g) encode8(x + g * kGroup, inverse[g], codes + g * kGroup, sums + 2 * g);
  for (int d = 0; d < dirty; ++d)
    encode8(clean + d * kGroup, inverse[dirty_group[d]], codes + dirty_group[d] * kGroup, sums + 2 * dirty_group[d]);
}
