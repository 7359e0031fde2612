// Float formats as files store them. All conversions round to nearest, ties to even.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

namespace gw {

#if defined(__aarch64__)
using Half = __fp16;   // GCC before 13 has no _Float16 here
#else
using Half = _Float16;
#endif

inline float half_value(uint16_t h) { return (float)std::bit_cast<Half>(h); }
inline uint16_t half_bits(float x) { return std::bit_cast<uint16_t>((Half)x); }
inline float bf16_value(uint16_t h) { return std::bit_cast<float>((uint32_t)h << 16); }
// x is finite; what lies beyond the largest bf16 becomes infinite.
inline uint16_t bf16_bits(float x) {
  uint32_t u = std::bit_cast<uint32_t>(x);
  return (u + 0x7fff + ((u >> 16) & 1)) >> 16;
}

}  // namespace gw
