#include "checksum.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "pool.h"

namespace gw {
namespace {

constexpr size_t kBlock = 1 << 20;   // summed by one thread
constexpr int kLanes = 8;            // independent sums: a multiplication takes several cycles, but one can begin in each

// For a fixed `state` a bijection of `word` and the other way round, so one wrong word cannot be undone by later ones.
inline uint64_t step(uint64_t state, uint64_t word) {
  uint64_t x = (state ^ word) * 0x9E3779B97F4A7C15u;   // 2^64 divided by the golden ratio: odd, its bits irregular
  return x << 29 | x >> 35;
}

uint64_t block_sum(const uint8_t* data, size_t bytes) {
  uint64_t lane[kLanes], word[kLanes] = {};
  for (int i = 0; i < kLanes; ++i) lane[i] = i + 1;
  size_t at = 0;
  for (; at + sizeof word <= bytes; at += sizeof word) {
    std::memcpy(word, data + at, sizeof word);
    for (int i = 0; i < kLanes; ++i) lane[i] = step(lane[i], word[i]);
  }
  std::memset(word, 0, sizeof word);
  std::memcpy(word, data + at, bytes - at);
  uint64_t sum = bytes;   // tells zeros at the end from nothing
  for (int i = 0; i < kLanes; ++i) sum = step(sum, step(lane[i], word[i]));
  return sum;
}

}  // namespace

uint64_t checksum(const uint8_t* data, size_t bytes) {
  std::vector<uint64_t> sums((bytes + kBlock - 1) / kBlock);
  parallel_for((int)sums.size(), 1, [&](int begin, int end, int) {
    for (int i = begin; i < end; ++i) sums[i] = block_sum(data + i * kBlock, std::min(kBlock, bytes - i * kBlock));
  });
  uint64_t sum = bytes;
  for (uint64_t s : sums) sum = step(sum, s);
  return sum;
}

}  // namespace gw
