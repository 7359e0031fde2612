// Integer dot products of one group, the definition: sums[t].half[h] = sum of (code - zero) * x over that half group.
// With kHalves false everything is in half[0].

struct I16 {
  int v[16];
};
inline V16 to_float(I16 a) { V16 r; for (int i = 0; i < 16; ++i) r.v[i] = (float)a.v[i]; return r; }

constexpr int kTokens = 4, kTokensWide = 4;   // tokens a block takes at once

template <Codes C, bool kUnpacked>
inline int code_at(const unsigned char* group, int step, int cell) {
  if constexpr (C == Codes::s8) return ((const signed char*)group)[step * kStepBytes + cell];
  if constexpr (kUnpacked) return group[step * kStepBytes + cell];
  int both = group[(step / 2) * kStepBytes + cell];
  int code = step % 2 ? both >> 4 : both & 15;
  if constexpr (C == Codes::u5) code |= ((group[4 * kStepBytes + cell] >> step) & 1) << 4;
  return code;
}

template <Codes C, bool kUnpacked, bool kHalves, int kZero, int NT, class X>
inline void dot(const unsigned char* group, const X* const* x, const int* const* x_sums, I16 (*sums)[2]) {
  for (int t = 0; t < NT; ++t)
    for (int i = 0; i < kRows; ++i) {
      int total[2] = {0, 0};
      for (int k = 0; k < kGroup; ++k)
        total[kHalves ? k / 16 : 0] += code_at<C, kUnpacked>(group, k / kStep, i * kStep + k % kStep) * x[t][k];
      sums[t][0].v[i] = total[0] - kZero * (x_sums[t][0] + x_sums[t][1]);
      sums[t][1].v[i] = total[1];
    }
}

// Writes the codes of a group one byte each, step by step.
template <Codes C>
inline void unpack(const unsigned char* group, unsigned char* to) {
  for (int step = 0; step < kSteps; ++step)
    for (int cell = 0; cell < kStepBytes; ++cell) to[step * kStepBytes + cell] = (unsigned char)code_at<C, false>(group, step, cell);
}
