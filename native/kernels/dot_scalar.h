// Integer dot products, the definition the other targets are held to.
//
// A step is four columns of sixteen rows. Codes come packed (packed.h) or, kUnpacked, one byte each in the form that
// unpack writes: unsigned for codes of 4 to 6 bits; codes of 8 bits are multiplied where they lie. What a target adds
// to signed codes to make them unsigned is its kShift; `start` takes it, and the format's zero point, off again.

struct I16 {
  int v[16];
};
inline V16 to_float(I16 a) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = (float)a.v[i]; return r; }

constexpr int kTiles = 1, kTokens = 4, kTokensWide = 4;   // what one block of the many-token path holds in registers
constexpr int kFew = 4, kFewWide = 4;   // tokens of a block of the few-token path, one tile
constexpr int kFloatTokens = 4;         // of a block of float products, one tile: as many sums as hide the latency of fma
constexpr int kShift = 0;
constexpr bool kPlanes = false;   // int16 activations as two planes of bytes (quantise.h)

template <Codes C, bool kUnpacked>
inline int code_at(const unsigned char* group, int step, int cell) {
  if constexpr (C == Codes::s8) return ((const signed char*)group)[step * kStepBytes + cell];
  if constexpr (kUnpacked) return group[step * kStepBytes + cell];
  int both = group[(step / 2) * kStepBytes + cell];
  int code = step % 2 ? both >> 4 : both & 15;
  for (int i = 0; i < planes(C); ++i) code |= ((group[(4 + i) * kStepBytes + cell] >> step) & 1) << (4 + i);
  return code;
}

// sums[t][p] = start[t] + sum over steps kFirst .. kFirst + kCount - 1 of codes[p] . x[t].  x[t]: of the group's first
// column; kWide: int16, otherwise int8.  start: null means zero.
// kOnto: added to what sums holds instead.
template <Codes C, bool kUnpacked, bool kWide, int kFirst, int kCount, int P, int NT, bool kOnto = false>
GW_INLINE void dot(const unsigned char* const* codes, const signed char* const* x, size_t, const int* const* start, I16 (*sums)[P]) {
  for (int t = 0; t < NT; ++t)
    for (int p = 0; p < P; ++p)
      for (int i = 0; i < kRows; ++i) {
        int total = kOnto ? sums[t][p].v[i] : start ? *start[t] : 0;
        for (int k = kFirst * kStep; k < (kFirst + kCount) * kStep; ++k)
          total += code_at<C, kUnpacked>(codes[p], k / kStep, i * kStep + k % kStep) * (kWide ? ((const short*)x[t])[k] : x[t][k]);
        sums[t][p].v[i] = total;
      }
}

inline I16 times16_plus(I16 a, int x) { for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] * 16 + x; return a; }

// Writes the codes of a group, or of its first steps, one byte each, step by step.
template <Codes C, int kCount = kSteps>
inline void unpack(const unsigned char* group, unsigned char* to) {
  for (int step = 0; step < kCount; ++step)
    for (int cell = 0; cell < kStepBytes; ++cell) to[step * kStepBytes + cell] = (unsigned char)code_at<C, false>(group, step, cell);
}

// Sixteen bytes of low halves (columns i and 16 + i of a group) times 32 activations.
inline int dot_halves(const unsigned char* low, const signed char* x) {
  int sum = 0;
  for (int i = 0; i < 16; ++i) sum += (low[i] & 15) * x[i] + (low[i] >> 4) * x[16 + i];
  return sum;
}

#include "join_halves.h"
