// A vector is always 16 floats; a target only chooses how many registers that is. This one uses an array.
// Every operation rounds exactly as its AVX2 and AVX-512 twins do, so all targets give the same bits.
struct V16 {
  float v[16];
};

inline V16 load(const float* p) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = p[i]; return r; }
inline V16 load_n(const float* p, int n) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = i < n ? p[i] : 0.0f; return r; }
inline void store(float* p, V16 a) { for (int i = 0; i < 16; ++i) p[i] = a.v[i]; }
inline void store_n(float* p, V16 a, int n) { for (int i = 0; i < n && i < 16; ++i) p[i] = a.v[i]; }
inline V16 set1(float x) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = x; return r; }
inline V16 zero() { return set1(0.0f); }
inline V16 add(V16 a, V16 b) { for (int i = 0; i < 16; ++i) a.v[i] += b.v[i]; return a; }
inline V16 sub(V16 a, V16 b) { for (int i = 0; i < 16; ++i) a.v[i] -= b.v[i]; return a; }
inline V16 mul(V16 a, V16 b) { for (int i = 0; i < 16; ++i) a.v[i] *= b.v[i]; return a; }
inline V16 div(V16 a, V16 b) { for (int i = 0; i < 16; ++i) a.v[i] /= b.v[i]; return a; }
inline V16 fma(V16 a, V16 b, V16 c) { for (int i = 0; i < 16; ++i) c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]); return c; }
// As the x86 instructions do: the second operand when either is NaN.
inline V16 max(V16 a, V16 b) { for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i]; return a; }
inline V16 min(V16 a, V16 b) { for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i]; return a; }
inline V16 abs(V16 a) { for (int i = 0; i < 16; ++i) a.v[i] = __builtin_fabsf(a.v[i]); return a; }
inline V16 round(V16 a) { for (int i = 0; i < 16; ++i) a.v[i] = __builtin_rintf(a.v[i]); return a; }

// NaN has no integer; whatever it becomes, what is computed with it is NaN in the end.
inline int to_int(float x) { return x == x ? (int)x : 0; }

// 2^n for whole n in [-126, 127].
inline V16 pow2(V16 n) {
  for (int i = 0; i < 16; ++i) {
    int bits = (to_int(n.v[i]) + 127) << 23;
    __builtin_memcpy(&n.v[i], &bits, 4);
  }
  return n;
}

inline float reduce_add(V16 a) {
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  return a.v[0];
}
// Sums of two vectors of whole numbers small enough to be exact in any order.
inline void reduce_add2(V16 a, V16 b, int* sums) { sums[0] = (int)reduce_add(a); sums[1] = (int)reduce_add(b); }
inline float reduce_max(V16 a) {
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  return a.v[0];
}
inline V16 zero_lanes(V16 a, unsigned mask) { for (int i = 0; i < 16; ++i) a.v[i] = mask >> i & 1 ? 0.0f : a.v[i]; return a; }
// Bit i is set where a[i] > b[i].
inline unsigned greater(V16 a, V16 b) {
  unsigned mask = 0;
  for (int i = 0; i < 16; ++i) mask |= (unsigned)(a.v[i] > b.v[i]) << i;
  return mask;
}

inline V16 from_f16(const unsigned short* p) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = f16_to_f32(p[i]); return r; }
inline float half_to_float(const unsigned short* p) { return f16_to_f32(*p); }
inline void store_f16(unsigned short* p, V16 a) { for (int i = 0; i < 16; ++i) p[i] = f32_to_f16(a.v[i]); }
inline V16 from_bf16(const unsigned short* p) {
  V16 r;
  for (int i = 0; i < 16; ++i) {
    unsigned bits = (unsigned)p[i] << 16;
    __builtin_memcpy(&r.v[i], &bits, 4);
  }
  return r;
}
inline V16 from_u8(const unsigned char* p) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = (float)p[i]; return r; }
inline V16 from_s8(const signed char* p) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = (float)p[i]; return r; }
// Of each of 16 four-byte cells: the bits from `shift` on under `mask`; byte `lane` (0..3), signed; as floats.
inline V16 cell_bits(const unsigned char* p, int shift, int mask) {
  V16 r;
  for (int i = 0; i < 16; ++i) {
    unsigned cell;
    __builtin_memcpy(&cell, p + 4 * i, 4);
    r.v[i] = (float)(int)(cell >> shift & (unsigned)mask);
  }
  return r;
}
inline V16 cell_s8(const unsigned char* p, int lane) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = (float)(signed char)p[4 * i + lane]; return r; }

// Rounds to nearest even, saturates, stores.
inline void store_s8(signed char* p, V16 a) {
  for (int i = 0; i < 16; ++i) { float r = __builtin_rintf(a.v[i]); p[i] = (signed char)to_int(r > 127.0f ? 127.0f : r < -128.0f ? -128.0f : r); }
}
inline void store_s16(short* p, V16 a) {
  for (int i = 0; i < 16; ++i) { float r = __builtin_rintf(a.v[i]); p[i] = (short)to_int(r > 32767.0f ? 32767.0f : r < -32768.0f ? -32768.0f : r); }
}

// Writes the lanes of `mask` one after the other, and base + lane of each; returns how many. Up to 16 more may be overwritten.
inline int compress(V16 a, unsigned mask, int base, float* to, int* at) {
  int n = 0;
  for (; mask; mask &= mask - 1, ++n) {
    int lane = __builtin_ctz(mask);
    to[n] = a.v[lane];
    at[n] = base + lane;
  }
  return n;
}
