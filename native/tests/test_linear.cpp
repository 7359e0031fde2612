// Products with packed matrices: every stored type, both kinds of activations, few tokens and many, awkward sizes.
#include <cmath>
#include <limits>
#include <utility>

#include "../core/ops.h"
#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// All tokens through the kernels in use, from arrays without a byte to spare.
std::vector<float> product(const PackedView& w, const std::vector<float>& x, bool wide) {
  int tokens = (int)(x.size() / w.cols);
  auto in = exact_copy(x), y = exactly<float>((size_t)tokens * w.rows);
  linear(in.get(), tokens, w.cols, {&w}, wide, {y.get()});
  return {y.get(), y.get() + (size_t)tokens * w.rows};
}

Floats product_everywhere(const std::string& what, const PackedView& w, const Floats& x, bool wide, Where where = Where::current()) {
  return same_on_every_target(what, [&](const Kernels&) { return product(w, x, wide); }, where);
}

// The same sum in double precision, from what the file's format defines and what the kernels see of x.
void check_near_exact(const Floats& y, const PackedView& w, const Floats& x, bool wide, const std::string& what) {
  const int tokens = (int)(x.size() / w.cols);
  Floats seen = x;
  if (!is_float(w.codes)) {
    Quantised a(kernels_scalar(), x, w.cols, wide);
    for (int t = 0; t < tokens; ++t)
      for (int k = 0; k < w.cols; ++k) seen[(size_t)t * w.cols + k] = a.value(t, k);
  }
  std::vector<float> row(w.cols);
  for (int r = 0; r < w.rows; ++r) {
    unpack_row(w, r, row.data());
    for (int t = 0; t < tokens; ++t) {
      double sum = 0, size = 0;
      for (int k = 0; k < w.cols; ++k) {
        double term = (double)seen[(size_t)t * w.cols + k] * row[k];
        sum += term;
        size += std::fabs(term);
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
      for (int tokens : {1, 2, 5, 8, 9, 16, 17, 40}) {   // up to 16 straight from packed codes
        std::string what = describe(type, 19, cols, tokens, wide);
        std::vector<float> x = random_activations(tokens, cols, random);
        auto y = product_everywhere(what, w.view, x, wide);
        if (tokens == 5 || tokens == 17) check_near_exact(y, w.view, x, wide, what);
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
        for (int tokens : {3, 19}) {
          std::vector<float> x = random_activations(tokens, cols, random);
          for (bool wide : {false, true}) product_everywhere(describe(type, rows, cols, tokens, wide), w.view, x, wide);
        }
      }
}

TEST("wide matrices have more outliers, and panels of columns of their own") {
  Random random(6);
  for (int t : {3, 7, 15})   // Q4_0, Q8_0, split
    for (int cols : {32, 224, 256, 992, 1024, 2016, 2048, 2080, 2112, 4160}) {
      const StoredType& type = stored_types()[t];
      Matrix w = packed(type, random_tensor(type, 17, cols, random), 17, cols);
      for (int tokens : {2, 18}) {
        std::string what = describe(type, 17, cols, tokens, false);
        std::vector<float> x = random_activations(tokens, cols, random);
        check_near_exact(product_everywhere(what, w.view, x, false), w.view, x, false, what);
      }
    }
}

TEST("the largest codes overflow on no target") {
  Random random(3);
  for (const StoredType& type : stored_types()) {
    int cols = block_columns(type) == 256 ? 512 : 64;
    Matrix w = packed(type, random_tensor(type, 16, cols, random, true), 16, cols);
    for (int tokens : {6, 18}) {
      std::vector<float> x((size_t)tokens * cols);
      for (int i = 0; i < tokens * cols; ++i) x[i] = i < cols || (i >= 2 * cols && random.below(2)) ? 3.0f : -3.0f;
      for (bool wide : {false, true}) {
        std::string what = describe(type, 16, cols, tokens, wide) + ", extreme";
        check_near_exact(product_everywhere(what, w.view, x, wide), w.view, x, wide, what);
      }
    }
  }
}

TEST("a token's product is the same alone and among others") {
  Random random(4);
  for (const StoredType& type : stored_types())
    for (bool wide : {false, true})
      for (int tokens : {13, 29}) {
        int cols = block_columns(type) == 256 ? 256 : 96;
        Matrix w = packed(type, random_tensor(type, 20, cols, random), 20, cols);
        std::vector<float> x = random_activations(tokens, cols, random);
        same_on_every_target(describe(type, 20, cols, tokens, wide), [&](const Kernels& run) {
          std::vector<float> together = product(w.view, x, wide), alone;
          for (int t = 0; t < tokens; ++t) {
            std::vector<float> y = product(w.view, {x.begin() + t * cols, x.begin() + (t + 1) * cols}, wide);
            alone.insert(alone.end(), y.begin(), y.end());
          }
          check_same_bits(alone, together, std::string(run.name) + ": one token at a time");
          return together;
        });
      }
}

TEST("a prompt of several chunks of tokens is multiplied like its parts") {
  Random random(7);
  const StoredType& type = stored_types()[5];
  const int cols = 2112, tokens = 390, half = 195;   // a chunk is at most 186 tokens of so many columns
  Matrix w = packed(type, random_tensor(type, 5, cols, random), 5, cols);
  std::vector<float> x = random_activations(tokens, cols, random);
  same_on_every_target(describe(type, 5, cols, tokens, false), [&](const Kernels& run) {
    std::vector<float> together = product(w.view, x, false), parts = product(w.view, {x.begin(), x.begin() + half * cols}, false);
    std::vector<float> rest = product(w.view, {x.begin() + half * cols, x.end()}, false);
    parts.insert(parts.end(), rest.begin(), rest.end());
    check_same_bits(together, parts, std::string(run.name) + ": in two parts");
    return together;
  });
}

TEST("a token that is not a number spoils itself and no other") {
  Random random(5);
  const StoredType& type = stored_types()[5];
  Matrix w = packed(type, random_tensor(type, 16, 64, random), 16, 64);
  for (int tokens : {3, 20}) {
    std::vector<float> x = random_activations(tokens, 64, random);
    x[64 + 40] = kNan;
    for (bool wide : {false, true}) {
      auto y = product_everywhere("NaN", w.view, x, wide);
      for (int i = 0; i < 16 * tokens; ++i) check(std::isnan(y[i]) == (i / 16 == 1), "NaN in the wrong place, or in none");
    }
  }
}

TEST("several matrices of one input, and gate and up with what joins them, are the products one by one") {
  Random random(8);
  const int rows = 40, cols = 256;
  for (auto [first, second] : {std::pair{3, 10}, {7, 7}, {15, 1}, {2, 0}, {12, 8}}) {
    Matrix gate = packed(stored_types()[first], random_tensor(stored_types()[first], rows, cols, random), rows, cols);
    Matrix up = packed(stored_types()[second], random_tensor(stored_types()[second], rows, cols, random), rows, cols);
    for (int tokens : {1, 5, 17, 33})
      for (bool wide : {false, true}) {
        std::vector<float> x = random_activations(tokens, cols, random);
        std::string what = std::string(stored_types()[first].name) + " and " + stored_types()[second].name;
        same_on_every_target(what, [&](const Kernels& run) {
          size_t n = (size_t)tokens * rows;
          auto in = exact_copy(x), a = exactly<float>(n), b = exactly<float>(n), joined = exactly<float>(n), expected = exactly<float>(n);
          linear(in.get(), tokens, cols, {&gate.view, &up.view}, wide, {a.get(), b.get()});
          check_same_bits({a.get(), a.get() + n}, product(gate.view, x, wide), std::string(run.name) + ": the first of two");
          check_same_bits({b.get(), b.get() + n}, product(up.view, x, wide), std::string(run.name) + ": the second of two");
          linear_geglu(in.get(), tokens, cols, gate.view, up.view, wide, joined.get());
          geglu(a.get(), b.get(), tokens, rows, expected.get());
          std::vector<float> got(joined.get(), joined.get() + n);
          check_same_bits(got, {expected.get(), expected.get() + n}, std::string(run.name) + ": linear_geglu, " + what);
          return got;
        });
      }
  }
}
