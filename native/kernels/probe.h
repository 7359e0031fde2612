// What a thread can do at best on this target, with the instructions the kernels use. For benchmarks: what a kernel
// achieves is judged by these figures.

// Sum of x[n], in four streams a quarter apart: enough requests under way to keep memory busy. n: a multiple of 64.
float probe_read(const float* x, int64_t n) {
  const int64_t quarter = n / 4;
  V16 sum[4] = {zero(), zero(), zero(), zero()};
  for (int64_t i = 0; i < quarter; i += kRows)
    for (int s = 0; s < 4; ++s) sum[s] = add(sum[s], load(x + s * quarter + i));
  return reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])));
}

// int8 dot products without scales, `rounds` times over, as this target's instructions allow at best. Returns the
// multiplications done. codes: [16 groups, 8 steps, 64]; x: [kTokens, 16 groups of 32].
int64_t probe_dots(const uint8_t* codes, const int8_t* x, int rounds) {
#if GW_LANES == 16
  // Sixteen sums in registers, four vectors of weights by four of activations: two instructions to a load.
  constexpr int kSide = 4;
  __m512i w[kSide], xs[kSide], acc[kSide][kSide];
#pragma GCC unroll 4
  for (int i = 0; i < kSide; ++i) {
    w[i] = _mm512_loadu_si512(codes + i * kStepBytes);
    xs[i] = _mm512_loadu_si512(x + i * kStepBytes);
#pragma GCC unroll 4
    for (int j = 0; j < kSide; ++j) acc[i][j] = _mm512_setzero_si512();
  }
  const int steps = rounds * 64;
  for (int step = 0; step < steps; ++step) {
    asm volatile("" : "+m"(w), "+m"(xs));   // or the compiler would multiply once and add often
#pragma GCC unroll 4
    for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kSide; ++j) acc[i][j] = multiply_add<Codes::u4>(acc[i][j], w[i], xs[j]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kSide; ++j) w[0] = _mm512_add_epi32(w[0], acc[i][j]);
  asm volatile("" : : "m"(w[0]));
  return (int64_t)steps * kSide * kSide * kStepBytes;
#else
  constexpr int kGroups = 16;
  for (int round = 0; round < rounds; ++round)
    for (int g = 0; g < kGroups; ++g) {
      const uint8_t* group = codes + g * kGroup * kRows;
      const signed char* at[kTokens];
      for (int t = 0; t < kTokens; ++t) at[t] = (const signed char*)x + (t * kGroups + g) * kGroup;
      I16 sums[kTokens][1];
      dot<Codes::u4, true, false, 0, kSteps, 1, kTokens>(&group, at, 0, nullptr, sums);
      asm volatile("" : : "r"(sums) : "memory");   // or the compiler would see that nobody reads them
    }
  return (int64_t)rounds * kGroups * kGroup * kRows * kTokens;
#endif
}
