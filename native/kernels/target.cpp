// All kernels of one CPU target. CMake compiles this file once per target with GW_TARGET set to its name.
// Everything but the table is in a namespace of its own: an inline function shared between targets would be an ODR
// trap (the linker keeps one copy, and it may need instructions this CPU lacks). For the same reason kernels include
// no standard library header.
#if GW_LANES == 4
#include <arm_neon.h>
#elif GW_LANES > 4
#include <immintrin.h>
#endif

#include "../core/kernels.h"

#define GW_JOIN2(a, b) a##b
#define GW_JOIN(a, b) GW_JOIN2(a, b)
#define GW_STRING2(a) #a
#define GW_STRING(a) GW_STRING2(a)

namespace gw {
namespace GW_JOIN(target_, GW_TARGET) {
namespace {

inline float f16_to_f32(unsigned short h) {
  unsigned sign = (unsigned)(h & 0x8000u) << 16, magnitude = h & 0x7fffu, bits;
  if (magnitude >= 0x7c00u) bits = sign | 0x7f800000u | (magnitude & 0x3ffu) << 13;      // inf, NaN
  else if (magnitude >= 0x400u) bits = sign | (magnitude + 0x1c000u) << 13;              // normal
  else {                                                                                   // zero, subnormal
    float f = (float)magnitude * 5.9604644775390625e-8f;                                   // 2^-24
    __builtin_memcpy(&bits, &f, 4);
    bits |= sign;
  }
  float f;
  __builtin_memcpy(&f, &bits, 4);
  return f;
}
inline unsigned short f32_to_f16(float f) {   // rounds half to even
  unsigned bits;
  __builtin_memcpy(&bits, &f, 4);
  unsigned sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x47800000u) return (unsigned short)(sign | (magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u));   // NaN; too large
  if (magnitude < 0x38800000u) {                                                                          // subnormal, zero
    float scaled;
    __builtin_memcpy(&scaled, &magnitude, 4);
    return (unsigned short)(sign | (unsigned)__builtin_rintf(scaled * 16777216.0f));                      // 2^24
  }
  unsigned rounded = magnitude + 0xfffu + (magnitude >> 13 & 1);
  return (unsigned short)(sign | (rounded - 0x38000000u) >> 13);
}
inline float fma_scalar(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

#if GW_LANES == 1
#include "../simd/scalar.h"
#include "dot_scalar.h"
#elif GW_LANES == 4
#include "../simd/neon.h"
#include "dot_neon.h"
#elif GW_LANES == 8
#include "../simd/avx2.h"
#include "dot_avx2.h"
#else
#include "../simd/avx512.h"
#include "dot_avx512.h"
#endif
#include "math.h"
#include "elementwise.h"
#include "reductions.h"
#include "quantise.h"
#include "linear_float.h"
#include "linear_quantised.h"
#include "head.h"
#include "linear_prepared.h"
#include "attend.h"
#include "probe.h"

}  // namespace
}  // namespace target_

const Kernels& GW_JOIN(kernels_, GW_TARGET)() {
  namespace here = GW_JOIN(target_, GW_TARGET);
  static constexpr Kernels table = {
      GW_STRING(GW_TARGET), here::kPlanes, here::rms_norm, here::rope,         here::geglu,     here::add_rows, here::add_scaled, here::softcap, here::mean_square, here::softmax, here::sparsify, here::quantise,
      here::linear_quantised, here::head_scan, here::head_refine, here::head_exact, here::linear_float, here::attend_span, here::attend_merge, here::write_kv, here::scale_row, here::argmax,
      here::top_k,          here::log_sum_exp, here::probe_read, here::probe_dots,
  };
  return table;
}

}  // namespace gw
