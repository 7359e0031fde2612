// The largest products, found in two stages: the same as those of the full product, whatever the weights are like.
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "../core/ops.h"
#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

constexpr int kHalf = 60, kAll = 2 * kHalf;   // rows; the second half may be that of the first

const StoredType& split() { return stored_types().back(); }

// is_peaked: the first 32 rows are small, so that few rows come into question and the second stage is worth its while
// (core/head.cpp judges by them); otherwise all products are computed. is_doubled: each row twice, so that all are ties.
std::vector<uint8_t> head(int cols, bool is_peaked, bool is_doubled, Random& random) {
  auto data = random_tensor(split(), kAll, cols, random);
  size_t row = data.size() / kAll;
  for (int r = 0; r < kAll && is_peaked; ++r)
    for (int g = 0; g < cols / kGroup; ++g) {
      uint16_t scale = r < 32 ? 0x0400 : 0x2000;   // 2^-14, 2^-7
      std::memcpy(&data[r * row + g * 34], &scale, 2);
    }
  if (is_doubled) std::memcpy(&data[kHalf * row], data.data(), kHalf * row);
  return data;
}

// values, then rows
std::vector<float> largest_of(const PackedView& w, const std::vector<float>& x, int k, int below) {
  int tokens = (int)x.size() / w.cols;
  auto in = exact_copy(x), value = exactly<float>((size_t)tokens * k);
  auto at = exactly<int>((size_t)tokens * k);
  largest(in.get(), tokens, w, k, below, at.get(), value.get());
  std::vector<float> all(value.get(), value.get() + (size_t)tokens * k);
  all.insert(all.end(), at.get(), at.get() + (size_t)tokens * k);
  return all;
}

// The same from all products; a token with one that is not finite gets NaN and row 0.
std::vector<float> by_all_products(const PackedView& w, const std::vector<float>& x, int k, int below) {
  int tokens = (int)x.size() / w.cols;
  std::vector<float> y((size_t)tokens * w.rows), value((size_t)tokens * k);
  std::vector<int> at((size_t)tokens * k);
  linear(x.data(), tokens, w.cols, {&w}, true, {y.data()});
  for (int t = 0; t < tokens; ++t) {
    const float* row = y.data() + (size_t)t * w.rows;
    kernels().top_k(row, below, k, &value[(size_t)t * k], &at[(size_t)t * k]);
    bool finite = true;
    for (int r = 0; r < below; ++r) finite = finite && std::isfinite(row[r]);
    for (int i = t * k; i < (t + 1) * k && !finite; ++i) { value[i] = std::numeric_limits<float>::quiet_NaN(); at[i] = 0; }
  }
  value.insert(value.end(), at.begin(), at.end());
  return value;
}

void check_largest(const std::string& what, const PackedView& w, const Floats& x, int k, int below, Where where = Where::current()) {
  same_on_every_target(what, [&](const Kernels& run) {
    Floats got = largest_of(w, x, k, below);
    check_same_bits(got, by_all_products(w, x, k, below), run.name + (": largest, " + what), where);
    return got;
  }, where);
}

}  // namespace

TEST("the largest products are those of the full product, ties included, for any number of tokens") {
  Random random(61);
  for (int cols : {32, 640, 2112})
    for (bool is_peaked : {false, true})
      for (bool is_doubled : {false, true}) {
        Matrix w = packed(split(), head(cols, is_peaked, is_doubled, random), kAll, cols);
        for (int tokens : {1, 9, 17, 33}) {   // up to 16 straight from packed codes, up to 32 at once
          if (tokens > 17 && cols > 640) continue;
          std::vector<float> x = random_activations(tokens, cols, random);
          std::string what = std::to_string(cols) + " columns, " + std::to_string(tokens) + " tokens" +
                             (is_peaked ? ", peaked" : "") + (is_doubled ? ", doubled" : "");
          for (auto [k, below] : {std::pair{1, kAll}, {3, 77}, {40, kAll}}) check_largest(what, w.view, x, k, below);
        }
      }
}

TEST("rows that are all alike are taken from the first on") {
  Random random(62);
  auto data = head(64, true, false, random);
  size_t row = data.size() / kAll;
  for (int r = 33; r < kAll; ++r) std::memcpy(&data[r * row], &data[32 * row], row);
  Matrix w = packed(split(), data, kAll, 64);
  for (int tokens : {1, 20})
    for (int k : {1, 2, 50}) check_largest("alike", w.view, random_activations(tokens, 64, random), k, kAll);
  check_largest("zeros", w.view, std::vector<float>(64, 0.0f), 5, kAll);
}

TEST("a token with a product that is not finite gets NaN, and no other") {
  Random random(63);
  for (int tokens : {3, 20})
    for (float poison : {NAN, INFINITY, -INFINITY}) {
      Matrix w = packed(split(), head(96, true, false, random), kAll, 96);
      std::vector<float> x = random_activations(tokens, 96, random);
      x[96 + 50] = poison;
      check_largest("a token that is not finite", w.view, x, 4, kAll);
      Floats got = largest_of(w.view, x, 4, kAll);
      for (int i = 0; i < 4 * tokens; ++i) check(std::isnan(got[i]) == (i / 4 == 1), "NaN in the wrong place, or in none");
    }
  for (uint16_t scale : {0x7c00, 0x7e00, 0xfc00})   // infinity, NaN, -infinity
    for (int bad : {5, 70}) {
      auto data = head(96, true, false, random);
      std::memcpy(&data[bad * (data.size() / kAll) + 34], &scale, 2);
      Matrix w = packed(split(), data, kAll, 96);
      std::vector<float> x = random_activations(2, 96, random);
      check_largest("a weight that is not finite", w.view, x, 3, kAll);
      check_largest("a weight that is not finite, maybe beyond the rows that count", w.view, x, 3, 64);
    }
}
