#include "quantise_weights.h"

#include <atomic>
#include <cstring>
#include <stdexcept>

#include "blocks.h"
#include "grid.h"
#include "pool.h"

namespace gw {
namespace {

constexpr int kPiece = 4096;   // values one piece of work takes: whole blocks of every type

void load(Type from, const uint8_t* data, int count, float* to) {
  for (int i = 0; i < count; ++i) {
    uint16_t half;
    if (from == Type::f32) {
      std::memcpy(&to[i], data + 4 * i, 4);
    } else if (from == Type::q8_0) {
      const uint8_t* block = data + i / kGroup * 34;
      std::memcpy(&half, block, 2);
      to[i] = half_value(half) * (float)(int8_t)block[2 + i % kGroup];
    } else {
      std::memcpy(&half, data + 2 * i, 2);
      to[i] = from == Type::f16 ? half_value(half) : bf16_value(half);
    }
  }
}

// The largest magnitude that every search can handle: scales and sums of squares stay finite.
float limit(Type to) {
  switch (to) {
    case Type::bf16: return 3.3895314e38f;
    case Type::f16: return 65504.0f;
    default: return 400000.0f;   // 65504 * 7 rounded down, less what a search may make of it
  }
}

void put_nibbles(const uint8_t* codes, uint8_t* out) {
  for (int i = 0; i < 16; ++i) out[i] = (uint8_t)((codes[i] & 15) | codes[i + 16] << 4);
}

void write_centred(Type to, const Centred& block, uint8_t* out) {
  std::memcpy(out, &block.scale, 2);
  if (to == Type::q8_0) { std::memcpy(out + 2, block.codes, kGroup); return; }
  uint8_t codes[kGroup];
  uint32_t fifth = 0;
  const int zero = to == Type::q4_0 ? 8 : 16;
  for (int i = 0; i < kGroup; ++i) codes[i] = (uint8_t)(block.codes[i] + zero);
  for (int i = 0; i < kGroup; ++i) fifth |= (uint32_t)(codes[i] >> 4) << i;
  if (to == Type::q5_0) std::memcpy(out + 2, &fifth, 4);
  put_nibbles(codes, out + (to == Type::q5_0 ? 6 : 2));
}

GW_INLINE void quantise_centred(Type from, const float* x, Type to, uint8_t* out) {
  if (to == Type::q8_0) return write_centred(to, search_centred<-127, 127>(x), out);
  if (to == Type::q5_0) return write_centred(to, search_centred<-16, 15>(x), out);
  Grid grid;
  if (from != Type::q8_0 && find_grid(x, from, grid)) {
    Centred block{0, grid.scale, {}};
    std::memcpy(block.codes, grid.codes, kGroup);
    return write_centred(to, block, out);
  }
  write_centred(to, search_centred<-8, 7>(x), out);
}

// A group of q4_k with whole scale a and minimum b: x = d a code - e b.
GW_INLINE float group_error(const float* x, float scale, float minimum, uint8_t* codes) {
  F8 miss{};
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kGroup; i += 8) {
    F8 v = load8(x + i), code = to_code((v + minimum) * inverse, 0, 15), off = v - (scale * code - minimum);
    miss += off * off;
    for (int j = 0; j < 8; ++j) codes[i + j] = (uint8_t)code[j];
  }
  return sum8(miss);
}

struct Super {
  float error;
  uint16_t d, e;
  uint8_t a[8], b[8], codes[kSuper];
};

int six_bits(float x) { return (int)std::nearbyint(std::min(std::max(x, 0.0f), 63.0f)); }

// Rounds the lines' scales and offsets to six bits below two f16 numbers. reach: how far from the nearest whole numbers
// better pairs are looked for.
GW_INLINE Super quantise_lines(const float* x, const Affine* lines, int reach) {
  float most_scale = 0, most_minimum = 0;
  for (int g = 0; g < 8; ++g) {
    most_scale = std::max(most_scale, lines[g].scale);
    most_minimum = std::max(most_minimum, -lines[g].offset);
  }
  Super out{0, half_bits(most_scale / 63.0f), half_bits(most_minimum / 63.0f), {}, {}, {}};
  const float d = half_value(out.d), e = half_value(out.e);
  for (int g = 0; g < 8; ++g) {
    const int a0 = d > 0 ? six_bits(lines[g].scale / d) : 0, b0 = e > 0 ? six_bits(-lines[g].offset / e) : 0;
    float least = HUGE_VALF;
    uint8_t codes[kGroup];
    for (int a = std::max(a0 - reach, 0); a <= std::min(a0 + reach, 63); ++a)
      for (int b = std::max(b0 - reach, 0); b <= std::min(b0 + reach, 63); ++b) {
        float error = group_error(x + g * kGroup, d * (float)a, e * (float)b, codes);
        if (!(error < least)) continue;
        least = error;
        out.a[g] = (uint8_t)a;
        out.b[g] = (uint8_t)b;
        std::memcpy(out.codes + g * kGroup, codes, kGroup);
      }
    out.error += least;
  }
  return out;
}

// The plain line of a group: from the smallest to the largest value, zero included.
Affine plain_line(const float* x) {
  float low = 0, high = 0;
  for (int i = 0; i < kGroup; ++i) { low = std::min(low, x[i]); high = std::max(high, x[i]); }
  return {0, (high - low) / 15.0f, low, {}};
}

GW_INLINE void quantise_q4_k(const float* x, uint8_t* out) {
  Affine searched[8], plain[8];
  for (int g = 0; g < 8; ++g) {
    searched[g] = search_line(x + g * kGroup);
    plain[g] = plain_line(x + g * kGroup);
  }
  Super best = quantise_lines(x, searched, 1), simple = quantise_lines(x, plain, 0);
  if (simple.error < best.error) best = simple;
  std::memset(out, 0, 144);
  std::memcpy(out, &best.d, 2);
  std::memcpy(out + 2, &best.e, 2);
  for (int g = 0; g < 8; ++g) {   // six bits each in 12 bytes; pack.cpp reads them back
    if (g < 4) {
      out[4 + g] |= best.a[g];
      out[8 + g] |= best.b[g];
    } else {
      out[8 + g] |= (uint8_t)((best.a[g] & 15) | (best.b[g] & 15) << 4);
      out[g] |= (uint8_t)((best.a[g] >> 4) << 6);
      out[4 + g] |= (uint8_t)((best.b[g] >> 4) << 6);
    }
  }
  for (int g = 0; g < 8; ++g)
    for (int i = 0; i < kGroup; ++i) out[16 + 32 * (g / 2) + i] |= (uint8_t)(best.codes[g * kGroup + i] << (g % 2 ? 4 : 0));
}

// Compiled twice where the system can choose at load time: half the time on CPUs with AVX2, and the same bits, since
// no multiply and add is fused in either. All it calls is inlined. Not under ThreadSanitizer, whose own code is not ready
// when the choice is made.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
__attribute__((target_clones("avx2", "default")))
#endif
void convert(Type from, const float* x, int count, Type to, uint8_t* out) {
  const TypeInfo info = type_info((int)to);
  for (int i = 0; i < count; i += info.block_values, out += info.block_bytes) {
    if (to == Type::q4_k) quantise_q4_k(x + i, out);
    else if (info.block_values > 1) quantise_centred(from, x + i, to, out);
    else {
      uint16_t half = to == Type::f16 ? half_bits(x[i]) : bf16_bits(x[i]);
      std::memcpy(out, &half, 2);
    }
  }
}

size_t bytes_of(Type type, int64_t count) {
  const TypeInfo info = type_info((int)type);
  return (size_t)(count / info.block_values) * info.block_bytes;
}

}  // namespace

bool can_requantise(int from, int to) {
  auto is_one_of = [](int type, std::initializer_list<Type> types) {
    return std::any_of(types.begin(), types.end(), [&](Type one) { return (int)one == type; });
  };
  return is_one_of(from, {Type::f32, Type::f16, Type::bf16, Type::q8_0}) &&
         is_one_of(to, {Type::f16, Type::bf16, Type::q4_0, Type::q5_0, Type::q8_0, Type::q4_k});
}

int64_t requantise(Type from, const uint8_t* data, int64_t count, Type to, uint8_t* out) {
  std::atomic<int64_t> bad{count};
  const float most = limit(to);
  parallel_for((int)((count + kPiece - 1) / kPiece), 1, [&](int begin, int end, int) {
    float x[kPiece];
    for (int piece = begin; piece < end; ++piece) {
      const int64_t first = (int64_t)piece * kPiece;
      const int n = (int)std::min<int64_t>(kPiece, count - first);
      load(from, data + bytes_of(from, first), n, x);
      int i = 0;
      while (i < n && std::fabs(x[i]) <= most) ++i;
      if (i == n) { convert(from, x, n, to, out + bytes_of(to, first)); continue; }
      int64_t seen = bad.load();   // the first of all is reported, whichever thread meets it
      while (first + i < seen && !bad.compare_exchange_weak(seen, first + i)) {}
    }
  });
  return bad.load() < count ? bad.load() : -1;
}

bool is_on_q4_0_grid(Type from, const uint8_t* data, int64_t count) {
  std::atomic<bool> fits{true};
  parallel_for((int)((count + kPiece - 1) / kPiece), 1, [&](int begin, int end, int) {
    float x[kPiece];
    Grid grid;
    for (int piece = begin; piece < end && fits; ++piece) {
      const int64_t first = (int64_t)piece * kPiece;
      const int n = (int)std::min<int64_t>(kPiece, count - first);
      load(from, data + bytes_of(from, first), n, x);
      for (int i = 0; i < n; i += kGroup)
        if (!find_grid(x + i, from, grid)) { fits = false; break; }
    }
  });
  return fits;
}

}  // namespace gw
