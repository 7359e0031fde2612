// Activations to small integers.
#include <cmath>
#include <limits>

#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

// Everything the kernel writes for one token, as floats. Codes of a group whose scale is not a number mean nothing.
std::vector<float> quantised(const Kernels& run, const std::vector<float>& x, bool wide) {
  Quantised a(1, (int)x.size(), wide);
  run.quantise(exact_copy(x).get(), a.view, 0);
  std::vector<float> all;
  for (int g = 0; g < a.view.groups; ++g) {
    all.push_back(a.scale[g]);
    if (std::isnan(a.scale[g])) continue;
    for (int i = g * kGroup; i < (g + 1) * kGroup; ++i) all.push_back(wide ? a.q16[i] : a.q8[i]);
    all.push_back((float)a.sums[2 * g]);
    all.push_back((float)a.sums[2 * g + 1]);
  }
  for (int j = 0; j < kOutliers && !wide; ++j) {
    all.push_back((float)a.outlier_at[j]);
    all.push_back(a.outlier[j]);
  }
  return all;
}

void check_everywhere(const std::string& what, const std::vector<float>& x) {
  for (bool wide : {false, true}) same_on_every_target(what, [&](const Kernels& run) { return quantised(run, x, wide); });
}

}  // namespace

TEST("activations become the same codes on every target") {
  Random random(11);
  for (int cols : {32, 64, 96, 640})
    for (int i = 0; i < 8; ++i) check_everywhere(std::to_string(cols) + " columns", random_activations(1, cols, random));
}

TEST("ties, zeros and values too small or too large are quantised the same on every target") {
  Random random(12);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> equal(96), halves = random.normals(96), mixed = random.normals(160);
  for (float& x : equal) x = random.below(2) ? 1.0f : -1.0f;
  for (float& x : halves) x = std::round(x * 100.0f) / 2.0f;   // many lie between two codes
  for (int i = 0; i < 32; ++i) mixed[i] *= 1e-40f;
  for (int i = 32; i < 64; ++i) mixed[i] *= 1e37f;
  halves[1] = halves[5] = 127.0f;
  check_everywhere("equal magnitudes", equal);
  check_everywhere("halves", halves);
  check_everywhere("zeros", std::vector<float>(64, 0.0f));
  check_everywhere("negative zeros", std::vector<float>(64, -0.0f));
  check_everywhere("very small and very large", mixed);
  mixed[70] = kInfinity;
  mixed[100] = std::numeric_limits<float>::quiet_NaN();
  check_everywhere("infinite and NaN", mixed);
  check_everywhere("NaN only", std::vector<float>(64, std::numeric_limits<float>::quiet_NaN()));
}

TEST("quantised activations are within half a step of what they stand for") {
  Random random(13);
  std::vector<float> x = random_activations(1, 256, random);
  for (bool wide : {false, true}) {
    Quantised a(1, 256, wide);
    kernels().quantise(x.data(), a.view, 0);
    for (int k = 0; k < 256; ++k)
      check(std::fabs(a.value(0, k) - x[k]) <= 0.5001f * a.scale[k / kGroup], "more than half a step away");
  }
}
