// High halves of a group (as u4) and low ones (16 bytes of each of sixteen rows, `stride` apart) to signed codes, for
// targets whose compiler makes good vectors of it.
inline void join_halves(const unsigned char* high, const unsigned char* low, size_t stride, unsigned char* to) {
  unsigned lows[4][kRows], both[kRows], code[kRows];
  for (int r = 0; r < kRows; ++r) {
    unsigned four[4];
    __builtin_memcpy(four, low + r * stride, 16);
    for (int i = 0; i < 4; ++i) lows[i][r] = four[i];
  }
  for (int step = 0; step < kSteps; ++step) {
    const int up = step % 2 ? 0 : 4, down = step / 4 * 4;
    __builtin_memcpy(both, high + step / 2 * kStepBytes, kStepBytes);
    for (int r = 0; r < kRows; ++r) code[r] = ((both[r] << up & 0xf0f0f0f0u) | (lows[step % 4][r] >> down & 0x0f0f0f0fu)) ^ 0x80808080u;
    __builtin_memcpy(to + step * kStepBytes, code, kStepBytes);
  }
}
