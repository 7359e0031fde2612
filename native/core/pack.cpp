#include "pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "float_bits.h"

namespace gw {
namespace {

using U8 = const uint8_t*;

uint16_t u16(U8 p) { uint16_t v; std::memcpy(&v, p, 2); return v; }
uint32_t u32(U8 p) { uint32_t v; std::memcpy(&v, p, 4); return v; }

constexpr int8_t kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// One group of 32 columns of one row, in the terms of packed.h.
struct Group {
  uint8_t code[kGroup];           // unsigned codes, or signed ones as their bytes
  uint16_t s = 0, m = 0;          // f16: one, with_min
  uint8_t a[2] = {0, 0}, b[2] = {0, 0};
  uint16_t d = 0, e = 0;          // f16: of the super-block
};

void nibbles(U8 q, uint8_t* code) {
  for (int i = 0; i < 16; ++i) { code[i] = q[i] & 15; code[i + 16] = q[i] >> 4; }
}

void add_fifth_bits(uint32_t high, uint8_t* code) {
  for (int i = 0; i < 32; ++i) code[i] |= ((high >> i) & 1) << 4;
}

// Scale and minimum number j of 8, six bits each in 12 bytes (Q4_K, Q5_K).
void six_bit_pair(U8 p, int j, uint8_t* scale, uint8_t* minimum) {
  if (j < 4) {
    *scale = p[j] & 63;
    *minimum = p[j + 4] & 63;
  } else {
    *scale = (p[j + 4] & 15) | (p[j - 4] >> 6) << 4;
    *minimum = (p[j + 4] >> 4) | (p[j] >> 6) << 4;
  }
}

// Group g of 8 within the super-block at p. Layouts: ggml-quants (block_q2_K ... block_iq4_xs).
void super_group(Type type, U8 p, int g, Group& o) {
  const int half = g / 4, quarter = g % 4;    // Q2_K, Q3_K, Q6_K: two halves of 128 columns, four quarters of 32 in each
  switch (type) {
    case Type::q2_k:
      o.d = u16(p + 80);
      o.e = u16(p + 82);
      for (int i = 0; i < 32; ++i) o.code[i] = (p[16 + 32 * half + i] >> (2 * quarter)) & 3;
      for (int h = 0; h < 2; ++h) { o.a[h] = p[2 * g + h] & 15; o.b[h] = p[2 * g + h] >> 4; }
      return;
    case Type::q3_k: {
      U8 high = p, low = p + 32, scales = p + 96;
      o.d = u16(p + 108);
      for (int i = 0; i < 32; ++i) {
        int code = ((low[32 * half + i] >> (2 * quarter)) & 3) - ((high[i] >> g) & 1 ? 0 : 4);
        o.code[i] = (uint8_t)(int8_t)code;
      }
      for (int h = 0; h < 2; ++h) {
        int k = 2 * g + h;
        int four = k < 8 ? scales[k] & 15 : scales[k - 8] >> 4, two = (scales[8 + k % 4] >> (2 * (k / 4))) & 3;
        o.a[h] = (uint8_t)(int8_t)((four | two << 4) - 32);
      }
      return;
    }
    case Type::q4_k:
    case Type::q5_k: {
      o.d = u16(p);
      o.e = u16(p + 2);
      six_bit_pair(p + 4, g, &o.a[0], &o.b[0]);
      U8 low = p + (type == Type::q4_k ? 16 : 48) + 32 * (g / 2);
      for (int i = 0; i < 32; ++i) o.code[i] = g % 2 ? low[i] >> 4 : low[i] & 15;
      if (type == Type::q5_k)
        for (int i = 0; i < 32; ++i) o.code[i] |= ((p[16 + i] >> g) & 1) << 4;
      return;
    }
    case Type::q6_k: {
      U8 low = p + 64 * half + 32 * (quarter % 2), high = p + 128 + 32 * half;
      o.d = u16(p + 208);
      for (int i = 0; i < 32; ++i) {
        int four = quarter < 2 ? low[i] & 15 : low[i] >> 4, two = (high[i] >> (2 * quarter)) & 3;
        o.code[i] = (uint8_t)(four | two << 4);
      }
      for (int h = 0; h < 2; ++h) o.a[h] = p[192 + 2 * g + h];
      return;
    }
    default: {  // iq4_xs
      o.d = u16(p);
      int four = (p[4 + g / 2] >> (4 * (g % 2))) & 15, two = (u16(p + 2) >> (2 * g)) & 3;
      o.a[0] = o.a[1] = (uint8_t)(int8_t)((four | two << 4) - 32);
      nibbles(p + 8 + 16 * g, o.code);
      for (int i = 0; i < 32; ++i) o.code[i] = (uint8_t)kIq4[o.code[i]];
      return;
    }
  }
}

// Group g of the row at p.
void read_group(Type type, U8 p, int g, Group& o) {
  switch (type) {
    case Type::q4_0: p += g * 18; o.s = u16(p); return nibbles(p + 2, o.code);
    case Type::q4_1: p += g * 20; o.s = u16(p); o.m = u16(p + 2); return nibbles(p + 4, o.code);
    case Type::q5_0: p += g * 22; o.s = u16(p); nibbles(p + 6, o.code); return add_fifth_bits(u32(p + 2), o.code);
    case Type::q5_1: p += g * 24; o.s = u16(p); o.m = u16(p + 2); nibbles(p + 8, o.code); return add_fifth_bits(u32(p + 4), o.code);
    case Type::q8_0:
    case Type::q8_0_split: p += g * 34; o.s = u16(p); std::memcpy(o.code, p + 2, 32); return;
    case Type::iq4_nl:
      p += g * 18;
      o.s = u16(p);
      nibbles(p + 2, o.code);
      for (uint8_t& c : o.code) c = (uint8_t)kIq4[c];
      return;
    default: return super_group(type, p + (size_t)(g / 8) * type_info((int)type).block_bytes, g % 8, o);
  }
}

// Puts one row's group into its lane of the tile.
void place(const Group& from, const PackedView& to, uint8_t* tile, int row, int g) {
  uint8_t* cells = tile + (size_t)g * code_bytes(to.codes) + row * kStep;
  if (to.codes == Codes::s8) {
    for (int step = 0; step < kSteps; ++step) std::memcpy(cells + step * kStepBytes, from.code + step * kStep, kStep);
  } else {
    uint32_t plane[2] = {0, 0};   // of fifth bits, of sixth bits
    for (int pair = 0; pair < kSteps / 2; ++pair) {
      uint32_t even = u32(from.code + 8 * pair), odd = u32(from.code + 8 * pair + 4);
      uint32_t both = (even & 0x0f0f0f0fu) | (odd & 0x0f0f0f0fu) << 4;
      std::memcpy(cells + pair * kStepBytes, &both, 4);
      for (int i = 0; i < 2; ++i)
        plane[i] |= ((even >> (4 + i)) & 0x01010101u) << (2 * pair) | ((odd >> (4 + i)) & 0x01010101u) << (2 * pair + 1);
    }
    for (int i = 0; i < planes(to.codes); ++i) std::memcpy(cells + (4 + i) * kStepBytes, &plane[i], 4);
  }
  uint8_t* at = tile + to.scales_at + (size_t)g * scale_bytes(to.scales);
  if (!has_super(to.scales)) {
    std::memcpy(at + 2 * row, &from.s, 2);
    if (to.scales == Scales::with_min) std::memcpy(at + 2 * (kRows + row), &from.m, 2);
    return;
  }
  uint8_t* super = tile + to.supers_at + (size_t)(g / 8) * 64;
  std::memcpy(super + 2 * row, &from.d, 2);
  std::memcpy(super + 2 * (kRows + row), &from.e, 2);
  at[row] = from.a[0];
  if (to.scales == Scales::super) at[kRows + row] = from.b[0];
  if (has_halves(to.scales)) at[kRows + row] = from.a[1];
  if (to.scales == Scales::halves_min)
    for (int h = 0; h < 2; ++h) at[(2 + h) * kRows + row] = from.b[h];
}

bool is_finite(uint16_t half) { return (half & 0x7c00) != 0x7c00; }
bool is_finite(const Group& g) { return is_finite(g.s) && is_finite(g.m) && is_finite(g.d) && is_finite(g.e); }

// A stored number of a float type.
bool is_finite(Codes codes, U8 at) {
  if (codes == Codes::f32) return (u32(at) & 0x7f800000u) != 0x7f800000u;
  return codes == Codes::f16 ? is_finite(u16(at)) : (u16(at) & 0x7f80) != 0x7f80;
}

float rounded_up(double norm) { return std::isfinite(norm) ? (float)(norm * (1 + 1e-6)) : std::numeric_limits<float>::infinity(); }

// One tile of a split matrix; its exact columns have been chosen.
bool split_tile(U8 from, size_t row_bytes, const PackedView& to, int tile_index, int rows) {
  uint8_t *tile = const_cast<uint8_t*>(to.tile(tile_index)), *bytes = const_cast<uint8_t*>(to.data);
  const int32_t* columns = to.exact_columns();
  float most_bound = 0, most_norm = 0;
  bool finite = true;
  for (int r = 0; r < rows; ++r) {
    const int row = tile_index * kRows + r;
    uint8_t* low = const_cast<uint8_t*>(to.low(row));
    double rest = 0, norm = 0;
    for (int g = 0; g < to.groups(); ++g, low += kGroup / 2) {
      Group group;
      read_group(Type::q8_0, from + r * row_bytes, g, group);
      finite = finite && is_finite(group);
      uint8_t half[2][kGroup];
      double s = half_value(group.s);
      bool exact[kGroup] = {};
      for (int i = 0; i < kExact; ++i) exact[columns[g * kExact + i] - g * kGroup] = true;
      for (int i = 0; i < kGroup; ++i) {
        uint8_t code = group.code[i] ^ 0x80;   // + 128
        half[0][i] = code >> 4;
        half[1][i] = code & 15;
        norm += s * s * (code - 128) * (code - 128);
        if (!exact[i]) rest += s * s * (half[1][i] - 8) * (half[1][i] - 8);
      }
      for (int i = 0; i < kGroup / 2; ++i) low[i] = half[1][i] | half[1][i + kGroup / 2] << 4;
      uint8_t* cells = tile + (size_t)g * code_bytes(to.codes) + r * kStep;
      for (int step = 0; step < kSteps; ++step)
        for (int k = 0; k < kStep; ++k) {
          uint8_t* cell = cells + step / 2 * kStepBytes + k;
          *cell = step % 2 ? *cell | half[0][step * kStep + k] << 4 : half[0][step * kStep + k];
        }
      uint8_t* kept = tile + to.exact_at + (size_t)g * kExactBytes + r * kStep;
      for (int k = 0; k < kStep; ++k) {
        const int32_t* of = columns + g * kExact;
        kept[k] = half[1][of[k] - g * kGroup] | half[1][of[kStep + k] - g * kGroup] << 4;
      }
      std::memcpy(tile + to.scales_at + (size_t)g * scale_bytes(to.scales) + 2 * r, &group.s, 2);
    }
    float bound = rounded_up(std::sqrt(rest));
    std::memcpy(bytes + to.bounds_at + (size_t)row * 4, &bound, 4);
    most_bound = std::max(most_bound, bound);
    most_norm = std::max(most_norm, rounded_up(std::sqrt(norm)));
  }
  std::memcpy(bytes + to.tile_bounds_at + (size_t)tile_index * 4, &most_bound, 4);
  std::memcpy(bytes + to.tile_bounds_at + (size_t)(to.tiles() + tile_index) * 4, &most_norm, 4);
  return finite;
}

float split_column(const PackedView& p, const uint8_t* tile, int row, int k) {
  int g = k / kGroup, in = k % kGroup, step = in / kStep;
  int high = tile[(size_t)g * code_bytes(p.codes) + step / 2 * kStepBytes + row % kRows * kStep + in % kStep];
  int low = p.low(row)[g * (kGroup / 2) + in % (kGroup / 2)];
  int code = (step % 2 ? high >> 4 : high & 15) << 4 | (in < kGroup / 2 ? low & 15 : low >> 4);
  return half_value(u16(tile + p.scales_at + (size_t)g * scale_bytes(p.scales) + 2 * (row % kRows))) * (float)(code - 128);
}

float column(const PackedView& p, const uint8_t* tile, int row, int k) {
  int g = k / kGroup, in = k % kGroup, step = in / kStep, cell = row * kStep + in % kStep;
  const uint8_t* group = tile + (size_t)g * code_bytes(p.codes);
  int code;
  if (p.codes == Codes::s8) {
    code = (int8_t)group[step * kStepBytes + cell];
  } else {
    int both = group[step / 2 * kStepBytes + cell];
    code = step % 2 ? both >> 4 : both & 15;
    for (int i = 0; i < planes(p.codes); ++i) code |= ((group[(4 + i) * kStepBytes + cell] >> step) & 1) << (4 + i);
  }
  const uint8_t* at = tile + p.scales_at + (size_t)g * scale_bytes(p.scales);
  if (p.scales == Scales::one) return half_value(u16(at + 2 * row)) * (float)(code - zero_point(p.codes, p.scales));
  if (p.scales == Scales::with_min)
    return half_value(u16(at + 2 * row)) * (float)code + half_value(u16(at + 2 * (kRows + row)));
  const uint8_t* super = tile + p.supers_at + (size_t)(g / 8) * 64;
  float d = half_value(u16(super + 2 * row)), e = half_value(u16(super + 2 * (kRows + row)));
  int h = in / 16;
  if (p.scales == Scales::super) return d * (float)at[row] * (float)code - e * (float)at[kRows + row];
  if (p.scales == Scales::halves) return d * (float)(int8_t)at[h * kRows + row] * (float)(code - zero_point(p.codes, p.scales));
  return d * (float)at[h * kRows + row] * (float)code - e * (float)at[(2 + h) * kRows + row];
}

}  // namespace

TypeInfo type_info(int type) {
  switch ((Type)type) {
    case Type::f32: return {1, 4, Codes::f32, Scales::none};
    case Type::f16: return {1, 2, Codes::f16, Scales::none};
    case Type::bf16: return {1, 2, Codes::bf16, Scales::none};
    case Type::q4_0: return {32, 18, Codes::u4, Scales::one};
    case Type::q4_1: return {32, 20, Codes::u4, Scales::with_min};
    case Type::q5_0: return {32, 22, Codes::u5, Scales::one};
    case Type::q5_1: return {32, 24, Codes::u5, Scales::with_min};
    case Type::q8_0: return {32, 34, Codes::s8, Scales::one};
    case Type::q8_0_split: return {32, 34, Codes::split, Scales::one};
    case Type::q2_k: return {256, 84, Codes::s8, Scales::halves_min};
    case Type::q3_k: return {256, 110, Codes::s8, Scales::halves};
    case Type::q4_k: return {256, 144, Codes::u4, Scales::super};
    case Type::q5_k: return {256, 176, Codes::u5, Scales::super};
    case Type::q6_k: return {256, 210, Codes::u6, Scales::halves};
    case Type::iq4_nl: return {32, 18, Codes::s8, Scales::one};
    case Type::iq4_xs: return {256, 136, Codes::s8, Scales::halves};
  }
  throw std::invalid_argument("tensor type " + std::to_string(type) + " is not one of those that can be packed");
}

bool pack_tile(Type type, U8 from, size_t row_bytes, const PackedView& to, int tile_index, int rows) {
  if (to.codes == Codes::split) return split_tile(from, row_bytes, to, tile_index, rows);
  uint8_t* tile = const_cast<uint8_t*>(to.tile(tile_index));
  bool finite = true;
  if (is_float(to.codes)) {
    int bytes = float_bytes(to.codes);
    for (int r = 0; r < rows; ++r)
      for (int k = 0; k < to.cols; ++k) {
        U8 value = from + r * row_bytes + (size_t)k * bytes;
        finite = finite && is_finite(to.codes, value);
        std::memcpy(tile + ((size_t)k * kRows + r) * bytes, value, bytes);
      }
    return finite;
  }
  for (int g = 0; g < to.groups(); ++g)
    for (int r = 0; r < rows; ++r) {
      Group group;
      read_group(type, from + r * row_bytes, g, group);
      finite = finite && is_finite(group);
      place(group, to, tile, r, g);
    }
  return finite;
}

void unpack_row(const PackedView& from, int row, float* to) {
  const uint8_t* tile = from.tile(row / kRows);
  int lane = row % kRows;
  for (int k = 0; k < from.cols; ++k) {
    if (from.codes == Codes::split) { to[k] = split_column(from, tile, row, k); continue; }
    if (!is_float(from.codes)) { to[k] = column(from, tile, lane, k); continue; }
    const uint8_t* at = tile + ((size_t)k * kRows + lane) * float_bytes(from.codes);
    if (from.codes == Codes::f32) std::memcpy(&to[k], at, 4);
    else if (from.codes == Codes::f16) to[k] = half_value(u16(at));
    else to[k] = bf16_value(u16(at));
  }
}

}  // namespace gw
