// Activations to int8 or int16, one token a call, with few branches that depend on a value.

inline unsigned bits_of(float x) { unsigned b; __builtin_memcpy(&b, &x, 4); return b; }
inline float float_of(unsigned b) { float x; __builtin_memcpy(&x, &b, 4); return x; }

// How many of x[0..n) are at least `least`; the list is filled up to a whole vector with -1.
inline int count_from(const float* x, int n, float least) {
  int count = 0;
  for (int j = 0; j < n; j += 16) count += __builtin_popcount(~greater(set1(least), load(x + j)) & 0xffffu);
  return count;
}

// Narrows [low, high), bit patterns of floats >= 0, until exactly k of x are at least float(low), or the two are
// neighbours, or `steps` are done. Before and after, at least k of x are at least float(low), and fewer float(high).
inline void narrow(const float* x, int n, int k, int steps, unsigned& low, unsigned& high) {
  for (; steps > 0 && high - low > 1; --steps) {
    unsigned middle = low + (high - low) / 2;
    int count = count_from(x, n, float_of(middle));
    if (count >= k) low = middle;
    else high = middle;
    if (count == k) return;
  }
}

// The k columns of largest magnitude (the lowest column among equals), ascending. amax: of each of the groups, filled up
// to a whole vector with -1. 1 <= k <= n; values are finite.
// The k-th largest group maximum is reached by at least k columns; the few that do are looked at one by one.
inline void find_outliers(const float* x, int n, const float* amax, int k, int* at, float* candidate, int* column) {
  const int groups = n / kGroup;
  float most = 0.0f;
  for (int g = 0; g < groups; ++g) most = amax[g] > most ? amax[g] : most;
  unsigned low = 0, high = bits_of(most) + 1;
  if (groups >= k) narrow(amax, groups, k, 12, low, high);
  V16 floor = set1(float_of(low));
  int found = 0;
  for (int first = 0; first < groups; first += 16) {
    unsigned hits = ~greater(floor, load(amax + first)) & 0xffffu;
    for (; hits; hits &= hits - 1) {
      int at_group = (first + __builtin_ctz(hits)) * kGroup;
      for (int i = at_group; i < at_group + kGroup && i < n; i += 16) {
        V16 a = abs(load(x + i));
        found += compress(a, ~greater(floor, a) & 0xffffu, i, candidate + found, column + found);
      }
    }
  }
  store(candidate + found, set1(-1.0f));
  high = bits_of(most) + 1;
  narrow(candidate, found, k, 32, low, high);
  int above = count_from(candidate, found, float_of(low));
  int equal = above == k ? k : k - count_from(candidate, found, float_of(high));   // of those at the limit: the first ones
  int taken = 0;
  for (int i = 0; taken < k; ++i) {
    at[taken] = column[i];     // overwritten if it is not one
    unsigned size = bits_of(candidate[i]);
    bool is_limit = above != k && size == low;
    taken += size >= low && (!is_limit || equal > 0);
    equal -= is_limit;
  }
}

constexpr float kWideLimit = 32639.0f;   // 127 * 256 + 127: what two planes of bytes hold

inline V16 group_max(const float* x) { return max(abs(load(x)), abs(load(x + 16))); }

// A group's codes and their sums (exact in float: at most 16 * 32639).
inline void encode8(V16 low, V16 high, float inverse, signed char* to, int* sums) {
  low = round(mul(low, set1(inverse)));
  high = round(mul(high, set1(inverse)));
  store_s8(to, low);
  store_s8(to + 16, high);
  reduce_add2(low, high, sums);
}

// int16 codes where the target wants them: in order, or high bytes, and `plane` bytes on, low ones.
inline void encode16(const float* x, float inverse, signed char* row, size_t plane, int first, int* sums) {
  V16 codes[2] = {round(mul(load(x), set1(inverse))), round(mul(load(x + 16), set1(inverse)))};
  reduce_add2(codes[0], codes[1], sums);
  for (int half = 0; half < 2; ++half) {
    V16 code = codes[half];
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
  float *candidate = inverse + groups + 16, *clean = candidate;
  store(amax + groups, set1(-1.0f));
  find_outliers(x, n, amax, out.outliers, at, candidate, (int*)(candidate + n + 32));

  // Groups that hold outliers, without them, in a copy each.
  float* kept = out.outlier + (size_t)token * out.outliers;
  int dirty = 0, dirty_group[kMostOutliers];
  for (int j = 0; j < out.outliers; ++dirty) {
    const int g = dirty_group[dirty] = at[j] / kGroup;
    unsigned mask = 0;
    for (; j < out.outliers && at[j] / kGroup == g; ++j) {
      kept[j] = x[at[j]];
      mask |= 1u << at[j] % kGroup;
    }
    V16 low = zero_lanes(load(x + g * kGroup), mask & 0xffffu), high = zero_lanes(load(x + g * kGroup + 16), mask >> 16);
    store(clean + dirty * kGroup, low);
    store(clean + dirty * kGroup + 16, high);
    amax[g] = reduce_max(max(abs(low), abs(high)));
  }
  scales_of(amax, groups, 127.0f, scale, inverse);
  for (int g = 0; g < groups; ++g) encode8(load(x + g * kGroup), load(x + g * kGroup + 16), inverse[g], codes + g * kGroup, sums + 2 * g);
  for (int d = 0; d < dirty; ++d) {
    const int g = dirty_group[d];
    encode8(load(clean + d * kGroup), load(clean + d * kGroup + 16), inverse[g], codes + g * kGroup, sums + 2 * g);
  }
}
