// Products with packed matrices: every stored type, both kinds of activations, awkward sizes.
#include <cmath>
#include <limits>

#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Tokens begin..end through the kernels of one target, from arrays without a byte to spare.
std::vector<float> product(const Kernels& run, const PackedView& w, const std::vector<float>& x, bool wide) {
  int tokens = (int)(x.size() / w.cols);
  auto y = exactly<float>((size_t)tokens * w.rows);
  auto in = exact_copy(x);
  if (is_float(w.codes)) {
    for (int tile = 0; tile < w.tiles(); ++tile) run.linear_float(w, tile, in.get(), 0, tokens, y.get(), w.rows);
  } else {
    Quantised a(tokens, w.cols, wide);
    auto scratch = exactly<uint8_t>((size_t)w.cols * kRows);
    for (int t = 0; t < tokens; ++t) run.quantise(in.get() + (size_t)t * w.cols, a.view, t);
    for (int tile = 0; tile < w.tiles(); ++tile)
      run.linear_quantised(w, tile, a.view, 0, tokens, y.get(), w.rows, scratch.get());
  }
  return {y.get(), y.get() + (size_t)tokens * w.rows};
}

// The same sum in double precision, from what the file's format defines and what the kernels see of x.
void check_near_exact(const Floats& y, const PackedView& w, const Floats& x, bool wide, const std::string& what) {
  int tokens = (int)(x.size() / w.cols);
  Quantised a(tokens, w.cols, wide);
  for (int t = 0; t < tokens && !is_float(w.codes); ++t)
    kernels_scalar().quantise(x.data() + (size_t)t * w.cols, a.view, t);
  std::vector<float> row(w.cols);
  for (int r = 0; r < w.rows; ++r) {
    unpack_row(w, r, row.data());
    for (int t = 0; t < tokens; ++t) {
      double sum = 0, size = 0;
      for (int k = 0; k < w.cols; ++k) {
        double value = is_float(w.codes) ? x[(size_t)t * w.cols + k] : a.value(t, k);
        sum += value * row[k];
        size += std::fabs(value * row[k]);
      }
      check(std::fabs(y[(size_t)t * w.rows + r] - sum) <= 3e-6 * size + 1e-7, what + ": not the product");
    }
  }
}

std::string describe(const StoredType& type, int rows, int cols, int tokens, bool wide) {
  return std::string(type.name) + (wide ? ", int16, " : ", int8, ") + std::to_string(rows) + " rows, " +
         std::to_string(cols) + " columns, " + std::to_string(tokens) + " tokens";
}

int block_columns(const StoredType& type) { return type_info((int)type.type).block_values; }

}  // namespace

TEST("products are the same on every target, for every type, width and number of tokens, and near the exact ones") {
  Random random(1);
  for (const StoredType& type : stored_types())
    for (bool wide : {false, true}) {
      int cols = block_columns(type) == 256 ? 512 : 288;
      auto data = random_tensor(type, 19, cols, random);
      Matrix w = packed(type, data, 19, cols);
      for (int tokens : {1, 2, 3, 4, 5, 7, 11}) {
        std::string what = describe(type, 19, cols, tokens, wide);
        std::vector<float> x = random_activations(tokens, cols, random);
        auto y = same_on_every_target(what, [&](const Kernels& run) { return product(run, w.view, x, wide); });
        if (tokens == 7) check_near_exact(y, w.view, x, wide, what);
      }
    }
}

TEST("any number of rows and groups is multiplied the same on every target") {
  Random random(2);
  for (const StoredType& type : stored_types())
    for (int rows : {1, 15, 16, 17, 33})
      for (int groups : {1, 3}) {
        int cols = is_float(type_info((int)type.type).codes) ? 13 * groups : block_columns(type) * groups;
        if (cols == 768) continue;
        Matrix w = packed(type, random_tensor(type, rows, cols, random), rows, cols);
        std::vector<float> x = random_activations(3, cols, random);
        for (bool wide : {false, true}) {
          std::string what = describe(type, rows, cols, 3, wide);
          same_on_every_target(what, [&](const Kernels& run) { return product(run, w.view, x, wide); });
        }
      }
}

TEST("the largest codes overflow on no target") {
  Random random(3);
  for (const StoredType& type : stored_types()) {
    int cols = block_columns(type) == 256 ? 512 : 64;
    Matrix w = packed(type, random_tensor(type, 16, cols, random, true), 16, cols);
    std::vector<float> x((size_t)6 * cols);
    for (int i = 0; i < 6 * cols; ++i) x[i] = i < cols || (i >= 2 * cols && random.below(2)) ? 3.0f : -3.0f;
    for (bool wide : {false, true}) {
      std::string what = describe(type, 16, cols, 6, wide) + ", extreme";
      auto y = same_on_every_target(what, [&](const Kernels& run) { return product(run, w.view, x, wide); });
      check_near_exact(y, w.view, x, wide, what);
    }
  }
}

TEST("a token's product is the same alone and among others") {
  Random random(4);
  for (const StoredType& type : stored_types())
    for (bool wide : {false, true}) {
      int cols = block_columns(type) == 256 ? 256 : 96;
      Matrix w = packed(type, random_tensor(type, 20, cols, random), 20, cols);
      std::vector<float> x = random_activations(13, cols, random);
      same_on_every_target(describe(type, 20, cols, 13, wide), [&](const Kernels& run) {
        std::vector<float> together = product(run, w.view, x, wide), alone;
        for (int t = 0; t < 13; ++t) {
          std::vector<float> y = product(run, w.view, {x.begin() + t * cols, x.begin() + (t + 1) * cols}, wide);
          alone.insert(alone.end(), y.begin(), y.end());
        }
        check_same_bits(alone, together, std::string(run.name) + ": one token at a time");
        return together;
      });
    }
}

TEST("a token that is not a number spoils itself and no other") {
  Random random(5);
  const StoredType& type = stored_types()[5];
  Matrix w = packed(type, random_tensor(type, 16, 64, random), 16, 64);
  std::vector<float> x = random_activations(3, 64, random);
  x[64 + 40] = kNan;
  for (bool wide : {false, true}) {
    auto y = same_on_every_target("NaN", [&](const Kernels& run) { return product(run, w.view, x, wide); });
    for (int i = 0; i < 48; ++i) check(std::isnan(y[i]) == (i / 16 == 1), "NaN in the wrong place, or in none");
  }
}
