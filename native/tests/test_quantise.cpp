// Activations to small integers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

// Everything the kernel writes for one token, as floats. Codes of a group whose scale is not a number mean nothing.
std::vector<float> quantised(const Kernels& run, const std::vector<float>& x, bool wide) {
  Quantised a(run, x, (int)x.size(), wide);
  std::vector<float> all;
  for (int g = 0; g < a.view.groups; ++g) {
    all.push_back(a.scale[g]);
    if (std::isnan(a.scale[g])) continue;
    for (int i = g * kGroup; i < (g + 1) * kGroup; ++i) all.push_back((float)a.code(0, i));
    all.push_back((float)a.sums[2 * g]);
    all.push_back((float)a.sums[2 * g + 1]);
  }
  for (int j = 0; j < a.view.outliers; ++j) {
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
  for (int cols : {32, 64, 96, 224, 640, 1024, 2016, 2048, 2112})
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

TEST("the channels kept exact are those of largest magnitude, the first among equals, in ascending order") {
  Random random(14);
  for (int cols : {32, 256, 1024, 2112})
    for (bool is_rounded : {false, true}) {
      std::vector<float> x = random_activations(1, cols, random);
      if (is_rounded) for (float& value : x) value = std::round(value);   // many equal ones
      std::vector<int> order(cols);
      for (int i = 0; i < cols; ++i) order[i] = i;
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return std::fabs(x[a]) > std::fabs(x[b]); });
      order.resize(outliers(cols));
      std::sort(order.begin(), order.end());
      Quantised a(kernels(), x, cols, false);
      for (int j = 0; j < a.view.outliers; ++j)
        check(a.outlier_at[j] == order[j] && a.outlier[j] == x[order[j]], std::to_string(cols) + " columns: another outlier");
    }
}

TEST("quantised activations are within half a step of what they stand for") {
  Random random(13);
  std::vector<float> x = random_activations(1, 256, random);
  for (bool wide : {false, true}) {
    Quantised a(kernels(), x, 256, wide);
    for (int k = 0; k < 256; ++k)
      check(std::fabs(a.value(0, k) - x[k]) <= 0.5001f * a.scale[k / kGroup], "more than half a step away");
  }
}
