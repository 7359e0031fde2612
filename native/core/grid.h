// Finding again the grid that weights were trained on (quantisation-aware training).
//
// Such checkpoints store d c for a scale d and codes c = -8..7 per 32 values, rounded to bf16. The largest magnitude is
// |d| k for some k = 1..8, so a few dozen f16 numbers can be the scale; the right one gives every value back.
#pragma once
#include <cmath>

#include "float_bits.h"
#include "pack.h"

namespace gw {

struct Grid {
  uint16_t scale;      // f16
  int8_t codes[kGroup];
};

inline float as_stored(Type type, float x) {
  return type == Type::bf16 ? bf16_value(bf16_bits(x)) : type == Type::f16 ? half_value(half_bits(x)) : x;
}

// The squared error of x against the grid with scale d, filling in its codes, or infinity if some value, rounded as
// `type` stores it, is not on the grid.
inline double grid_error(const float* x, Type type, float d, int8_t* codes) {
  double error = 0;
  for (int i = 0; i < kGroup; ++i) {
    float code = std::nearbyint(x[i] / d);
    if (!(code >= -8 && code <= 7) || as_stored(type, d * code) != x[i]) return HUGE_VAL;
    codes[i] = (int8_t)code;
    double miss = (double)x[i] - (double)(d * code);
    error += miss * miss;
  }
  return error;
}

// A quick look at whether a scale near d can fit: the roundings of d and of the values move a quotient by less than 1 %.
inline bool nearly_fits(const float* x, float d) {
  for (int i = 0; i < kGroup; ++i) {
    float quotient = x[i] / d, code = std::nearbyint(quotient);
    if (!(code >= -8 && code <= 7) || !(std::fabs(quotient - code) <= 0.01f * std::fabs(code))) return false;
  }
  return true;
}

// Whether the 32 finite values at x, stored as `type`, lie on a grid; fills in the one nearest to them.
inline bool find_grid(const float* x, Type type, Grid& found) {
  float extreme = 0;
  for (int i = 0; i < kGroup; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  found = {};
  if (extreme == 0) return true;
  double least = HUGE_VAL;
  for (int k = 8; k >= 1; --k) {
    float near = extreme / (k == 8 ? -8.0f : (float)k);   // there is no code +8
    int bits = half_bits(near), sign = bits & 0x8000;
    if (half_value((uint16_t)bits) == 0 || !nearly_fits(x, near)) continue;
    for (int step = -8; step <= 8; ++step) {   // f16 has three bits more than bf16: eight neighbours on either side
      int magnitude = (bits & 0x7fff) + step;
      if (magnitude < 1 || magnitude >= 0x7c00) continue;
      Grid grid{(uint16_t)(sign | magnitude), {}};
      double error = grid_error(x, type, half_value(grid.scale), grid.codes);
      if (error < least) { least = error; found = grid; }
    }
    if (least < HUGE_VAL) return true;
  }
  return false;
}

}  // namespace gw
