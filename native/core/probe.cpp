#include "probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "dispatch.h"
#include "memory.h"
#include "pool.h"

namespace gw {
namespace {

constexpr double kSeconds = 0.5;   // time given to each measurement
constexpr int kLeastRuns = 3;

// The best rate over runs of `run`, which returns how much it did: a machine is judged by what it can do undisturbed.
template <class Run>
double best_rate(const Run& run) {
  using Clock = std::chrono::steady_clock;
  double best = 0, total = 0;
  for (int i = 0; i < kLeastRuns || total < kSeconds; ++i) {
    Clock::time_point began = Clock::now();
    double done = (double)run();
    double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    best = std::max(best, done / seconds);
    total += seconds;
  }
  return best;
}

}  // namespace

double read_bytes_per_second() {
  constexpr int64_t kPart = (1 << 20) / sizeof(float);   // floats a thread takes at a time
  const int parts = 256 * threads();
  Block block = map_block((size_t)parts * kPart * sizeof(float));
  float* x = (float*)block.get();
  parallel_for(parts, 4, [&](int begin, int end, int) { std::fill(x + begin * kPart, x + end * kPart, 1.0f); });
  const Kernels& run = kernels();
  return best_rate([&] {
    std::atomic<int> whole{0};
    parallel_for(parts, 4, [&](int begin, int end, int) { whole += run.probe_read(x + begin * kPart, (end - begin) * kPart) > 0; });
    return whole > 0 ? (double)parts * kPart * sizeof(float) : 0.0;
  });
}

double multiplications_per_second() {
  constexpr int kGroups = 16, kMostTokens = 16, kRounds = 64;
  std::vector<uint8_t> codes(kGroups * kGroup * kRows, 3);
  std::vector<int8_t> x(kMostTokens * kGroups * kGroup, 5);
  const Kernels& run = kernels();
  return best_rate([&] {
    std::atomic<int64_t> done{0};
    parallel_for(64 * threads(), 1, [&](int begin, int end, int) {
      for (int i = begin; i < end; ++i) done += run.probe_dots(codes.data(), x.data(), kRounds);
    });
    return done.load();
  });
}

}  // namespace gw
