// 16 floats in four 128-bit registers. Needs nothing beyond armv8-a.
//
// Where ARM's instruction treats NaN or signed zeros differently from x86's (maximum and minimum), the comparison that
// scalar.h spells out stands instead.
struct V16 {
  float32x4_t v[4];
};

inline V16 load(const float* p) { return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}}; }
inline void store(float* p, V16 a) { for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]); }
inline V16 load_n(const float* p, int n) {
  float full[16] = {0};
  for (int i = 0; i < n; ++i) full[i] = p[i];
  return load(full);
}
inline void store_n(float* p, V16 a, int n) {
  float full[16];
  store(full, a);
  for (int i = 0; i < n; ++i) p[i] = full[i];
}
inline V16 set1(float x) { float32x4_t v = vdupq_n_f32(x); return {{v, v, v, v}}; }
inline V16 zero() { return set1(0.0f); }
inline V16 add(V16 a, V16 b) { for (int i = 0; i < 4; ++i) a.v[i] = vaddq_f32(a.v[i], b.v[i]); return a; }
inline V16 sub(V16 a, V16 b) { for (int i = 0; i < 4; ++i) a.v[i] = vsubq_f32(a.v[i], b.v[i]); return a; }
inline V16 mul(V16 a, V16 b) { for (int i = 0; i < 4; ++i) a.v[i] = vmulq_f32(a.v[i], b.v[i]); return a; }
inline V16 div(V16 a, V16 b) { for (int i = 0; i < 4; ++i) a.v[i] = vdivq_f32(a.v[i], b.v[i]); return a; }
inline V16 fma(V16 a, V16 b, V16 c) { for (int i = 0; i < 4; ++i) c.v[i] = vfmaq_f32(c.v[i], a.v[i], b.v[i]); return c; }
inline float32x4_t larger(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline float32x4_t smaller(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline V16 max(V16 a, V16 b) { for (int i = 0; i < 4; ++i) a.v[i] = larger(a.v[i], b.v[i]); return a; }
inline V16 min(V16 a, V16 b) { for (int i = 0; i < 4; ++i) a.v[i] = smaller(a.v[i], b.v[i]); return a; }
inline V16 abs(V16 a) { for (int i = 0; i < 4; ++i) a.v[i] = vabsq_f32(a.v[i]); return a; }
inline V16 round(V16 a) { for (int i = 0; i < 4; ++i) a.v[i] = vrndnq_f32(a.v[i]); return a; }
inline V16 pow2(V16 n) {
  for (int i = 0; i < 4; ++i)
    n.v[i] = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v[i]), vdupq_n_s32(127)), 23));
  return n;
}

// The same pairing as the scalar target: i with i + 8, i + 4, i + 2, i + 1.
inline float reduce_add(V16 a) {
  float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline int whole_sum(V16 a) { return (int)vaddvq_f32(vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]))); }
inline void reduce_add2(V16 a, V16 b, int* sums) { sums[0] = whole_sum(a); sums[1] = whole_sum(b); }
inline float reduce_max(V16 a) {
  float32x4_t four = larger(larger(a.v[0], a.v[2]), larger(a.v[1], a.v[3]));
  float32x4_t two = larger(four, vextq_f32(four, four, 2));
  float x = vgetq_lane_f32(two, 0), y = vgetq_lane_f32(two, 1);
  return x > y ? x : y;
}
inline V16 zero_lanes(V16 a, unsigned mask) {
  const uint32x4_t bits = {1, 2, 4, 8};
  for (int i = 0; i < 4; ++i) {
    uint32x4_t hit = vtstq_u32(vdupq_n_u32(mask >> 4 * i), bits);
    a.v[i] = vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a.v[i]), hit));
  }
  return a;
}
inline unsigned greater(V16 a, V16 b) {
  const uint32x4_t bits = {1, 2, 4, 8};
  unsigned mask = 0;
  for (int i = 0; i < 4; ++i) mask |= vaddvq_u32(vandq_u32(vcgtq_f32(a.v[i], b.v[i]), bits)) << 4 * i;
  return mask;
}

inline V16 from_f16(const unsigned short* p) {
  V16 r;
  for (int i = 0; i < 4; ++i) r.v[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
  return r;
}
inline float half_to_float(const unsigned short* p) {
  __fp16 h;
  __builtin_memcpy(&h, p, 2);
  return h;
}
inline void store_f16(unsigned short* p, V16 a) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
inline V16 from_bf16(const unsigned short* p) {
  V16 r;
  for (int i = 0; i < 4; ++i) r.v[i] = vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p + 4 * i)), 16));
  return r;
}
inline V16 from_s16(int16x8_t low, int16x8_t high) {
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}
inline V16 from_u8(const unsigned char* p) {
  uint8x16_t b = vld1q_u8(p);
  return from_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(b))), vreinterpretq_s16_u16(vmovl_high_u8(b)));
}
inline V16 from_s8(const signed char* p) {
  int8x16_t b = vld1q_s8(p);
  return from_s16(vmovl_s8(vget_low_s8(b)), vmovl_high_s8(b));
}
// A shift by a negative count is one to the right.
inline V16 cell_bits(const unsigned char* p, int shift, int mask) {
  V16 r;
  for (int i = 0; i < 4; ++i) {
    uint32x4_t cell = vshlq_u32(vreinterpretq_u32_u8(vld1q_u8(p + 16 * i)), vdupq_n_s32(-shift));
    r.v[i] = vcvtq_f32_u32(vandq_u32(cell, vdupq_n_u32((unsigned)mask)));
  }
  return r;
}
inline V16 cell_s8(const unsigned char* p, int lane) {
  V16 r;
  for (int i = 0; i < 4; ++i) {
    int32x4_t cell = vshlq_s32(vreinterpretq_s32_u8(vld1q_u8(p + 16 * i)), vdupq_n_s32(24 - 8 * lane));
    r.v[i] = vcvtq_f32_s32(vshrq_n_s32(cell, 24));
  }
  return r;
}

inline int16x8_t to_s16(float32x4_t a, float32x4_t b) {   // rounded to nearest even
  return vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(a)), vcvtnq_s32_f32(b));
}
inline void store_s16(short* p, V16 a) {
  vst1q_s16(p, to_s16(a.v[0], a.v[1]));
  vst1q_s16(p + 8, to_s16(a.v[2], a.v[3]));
}
inline void store_s8(signed char* p, V16 a) {
  vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(to_s16(a.v[0], a.v[1])), to_s16(a.v[2], a.v[3])));
}

inline int compress(V16 a, unsigned mask, int base, float* to, int* at) {
  if (!mask) return 0;
  float all[16];
  store(all, a);
  int n = 0;
  for (; mask; mask &= mask - 1, ++n) {
    int lane = __builtin_ctz(mask);
    to[n] = all[lane];
    at[n] = base + lane;
  }
  return n;
}
