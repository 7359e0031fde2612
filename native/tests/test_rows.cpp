// Kernels that take a row by itself: norm, rotation, gate, sums, choices.
#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"

using namespace gw;
using namespace gw::testing;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int kLengths[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 100};

// Runs a kernel on copies without a value to spare; `run` gets (a, b, y), all of n values.
template <class F>
std::vector<float> on_rows(const std::vector<float>& a, const std::vector<float>& b, F run) {
  auto left = exact_copy(a), right = exact_copy(b), y = exactly<float>(a.size());
  run(left.get(), right.get(), y.get());
  return {y.get(), y.get() + a.size()};
}

// Values where rounding, signs and limits differ most easily.
std::vector<float> awkward(size_t n, Random& random) {
  static constexpr float all[] = {0.0f,  -0.0f,  1e-40f, -1e-40f,   88.5f,      -88.5f, -87.33655f,
                                  1e30f, -1e30f, 0.5f,   kInfinity, -kInfinity, kNan,   -2.5f};
  std::vector<float> x = random.normals(n);
  for (float& value : x)
    if (random.below(3) == 0) value = all[random.below(std::size(all))];
  return x;
}

}  // namespace

TEST("norm, gate, sum and scale give the same bits on every target, at every length") {
  Random random(21);
  for (int n : kLengths)
    for (bool is_awkward : {false, true}) {
      std::vector<float> a = is_awkward ? awkward(n, random) : random.normals(n);
      std::vector<float> b = is_awkward ? awkward(n, random) : random.normals(n);
      std::string what = std::to_string(n) + (is_awkward ? " awkward values" : " values");
      auto everywhere = [&](const char* name, auto run) {
        return same_on_every_target(name + (", " + what), [&](const Kernels& k) {
          return on_rows(a, b, [&](float* x, float* s, float* y) { run(k, x, s, y); });
        });
      };
      everywhere("rms_norm", [&](const Kernels& k, float* x, float* s, float* y) { k.rms_norm(x, s, y, n, 1e-6f); });
      everywhere("rms_norm in place", [&](const Kernels& k, float* x, float* s, float* y) {
        std::copy(x, x + n, y);
        k.rms_norm(y, s, y, n, 1e-6f);
      });
      everywhere("geglu", [&](const Kernels& k, float* x, float* s, float* y) { k.geglu(x, s, y, n); });
      everywhere("scale", [&](const Kernels& k, float* x, float*, float* y) { k.scale(x, 25.3f, y, n); });
      auto sum = everywhere("add", [&](const Kernels& k, float* x, float* s, float* y) { k.add(x, s, y, n); });
      for (int i = 0; i < n && !is_awkward; ++i) check(sum[i] == a[i] + b[i], "add does not add");
    }
}

TEST("norm and gate are what their formulas say") {
  Random random(22);
  std::vector<float> x = random.normals(40), s = random.normals(40);
  double squares = 0;
  for (float value : x) squares += (double)value * value;
  auto norm = on_rows(x, s, [](float* a, float* b, float* y) { kernels().rms_norm(a, b, y, 40, 1e-6f); });
  auto gate = on_rows(x, s, [](float* a, float* b, float* y) { kernels().geglu(a, b, y, 40); });
  for (int i = 0; i < 40; ++i) {
    double a = x[i], expected = a / std::sqrt(squares / 40 + 1e-6) * s[i];
    double gelu = 0.5 * a * (1 + std::tanh(0.7978845608028654 * (a + 0.044715 * a * a * a))) * s[i];
    check(std::fabs(norm[i] - expected) <= 1e-6 * std::fabs(expected) + 1e-9, "rms_norm is not the formula");
    check(std::fabs(gate[i] - gelu) <= 1e-5 * std::fabs(gelu) + 1e-6, "geglu is not the formula");
  }
}

TEST("rotation gives the same bits on every target and keeps lengths") {
  Random random(23);
  for (int n : {2, 6, 16, 30, 32, 34, 64, 256}) {
    constexpr int heads = 3;
    std::vector<float> x = random.normals((size_t)heads * n), table(n);
    for (int i = 0; i < n / 2; ++i) { table[i] = (float)std::cos(1.7 * i); table[n / 2 + i] = (float)std::sin(1.7 * i); }
    auto y = same_on_every_target("rope, " + std::to_string(n), [&](const Kernels& k) {
      auto in = exact_copy(x), angles = exact_copy(table), out = exactly<float>(x.size());
      k.rope(in.get(), angles.get(), out.get(), heads, n);
      return std::vector<float>(out.get(), out.get() + x.size());
    });
    for (int i = 0; i < heads * n; ++i) {
      int pair = i % n < n / 2 ? i + n / 2 : i - n / 2;
      check(std::fabs(std::hypot(y[i], y[pair]) - std::hypot(x[i], x[pair])) < 1e-5, "rope changes a length");
    }
  }
}

TEST("the largest values are the same on every target, and the lowest index wins among equals") {
  Random random(24);
  for (int n : kLengths)
    for (int round = 0; round < 6; ++round) {
      std::vector<float> x = random.normals(n);
      if (round % 2) for (float& value : x) value = std::round(value);   // many equal ones
      if (round == 4) for (float& value : x) value = -kInfinity;
      int k = 1 + random.below(n);
      auto y = same_on_every_target("top_k and argmax of " + std::to_string(n), [&](const Kernels& run) {
        auto in = exact_copy(x), value = exactly<float>(k);
        auto at = exactly<int>(k);
        run.top_k(in.get(), n, k, value.get(), at.get());
        std::vector<float> all(value.get(), value.get() + k);
        all.insert(all.end(), at.get(), at.get() + k);
        all.push_back((float)run.argmax(in.get(), n));
        return all;
      });
      std::vector<int> order(n);
      for (int i = 0; i < n; ++i) order[i] = i;
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return x[a] > x[b]; });
      for (int i = 0; i < k; ++i) check(y[k + i] == (float)order[i] && y[i] == x[order[i]], "top_k is not the sorted row");
      check(y[2 * k] == (round == 4 ? -1.0f : (float)order[0]), "argmax is not the first of the sorted row");
    }
}

TEST("a row that is not finite has no argmax on any target") {
  Random random(25);
  for (float poison : {kNan, kInfinity, -kInfinity})
    for (int n : kLengths)
      for (int at : {0, n / 2, n - 1}) {
        std::vector<float> x = random.normals(n);
        x[at] = poison;
        for (const std::string& name : usable_targets()) {
          use_target(name);
          check(kernels().argmax(exact_copy(x).get(), n) == -1, name + ": an argmax of a row with NaN or infinity");
        }
      }
}

TEST("the logarithm of summed exponentials is the same on every target, and right") {
  Random random(26);
  for (int n : kLengths)
    for (float factor : {1.0f, 30.0f}) {
      std::vector<float> x = random.normals(n);
      double exact = 0;
      for (float& value : x) exact += std::exp((double)(value *= factor));
      auto y = same_on_every_target("log_sum_exp of " + std::to_string(n), [&](const Kernels& k) {
        return std::vector<float>{k.log_sum_exp(exact_copy(x).get(), n)};
      });
      check(std::fabs(y[0] - std::log(exact)) < 1e-5 * (1 + std::fabs(std::log(exact))), "log_sum_exp is not the formula");
    }
}
