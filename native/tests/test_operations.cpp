// Operations on whole arrays: the same bits for any number of threads, several callers at once.
#include <thread>

#include "../core/ops.h"
#include "../core/pool.h"
#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

constexpr int kDim = 32, kHeads = 4, kTokens = 70;

// A little of everything a layer does, one result after the other.
std::vector<float> layer(const Packed& w, const std::vector<float>& x, bool wide) {
  const int cols = w.view().cols, rows = w.view().rows, tokens = (int)x.size() / cols;
  std::vector<float> y((size_t)tokens * rows), normed(y.size()), turned(y.size()), gated(y.size()), attended(y.size());
  std::vector<float> scale(rows, 0.5f), angles((size_t)tokens * kDim), k(4 * 2 * kDim * 16), v(4 * 2 * kPage * 16);
  std::vector<int> slots(tokens, 0), positions(tokens), table = {3, 1, 0, 2};
  for (int t = 0; t < tokens; ++t) positions[t] = t;
  linear(x.data(), tokens, cols, {&w.view()}, wide, {y.data()});
  rms_norm(y.data(), tokens, rows, scale.data(), 1e-6f, normed.data());
  rope_table(positions.data(), tokens, kDim, 10000.0, 1.0, angles.data());
  rope(normed.data(), tokens, rows / kDim, kDim, angles.data(), turned.data());
  LayerCache cache{k.data(), v.data(), table.data(), 4, 1, kDim};
  std::vector<float> keys;   // the first head's
  for (int t = 0; t < tokens; ++t) keys.insert(keys.end(), turned.begin() + t * rows, turned.begin() + t * rows + kDim);
  cache_write(cache, keys.data(), keys.data(), slots.data(), positions.data(), tokens);
  attend(cache, turned.data(), slots.data(), positions.data(), tokens, rows / kDim, 0.2f, 40, 0.0f, attended.data());
  geglu(attended.data(), turned.data(), tokens, rows, gated.data());
  add(gated.data(), y.data(), tokens, rows, gated.data());
  embed(w.view(), positions.data(), 3, 25.0f, y.data());
  gated.insert(gated.end(), y.begin(), y.begin() + 3 * cols);
  return gated;
}

Packed packed_matrix(const StoredType& type, int rows, int cols, Random& random) {
  auto data = random_tensor(type, rows, cols, random);
  Packed w((int)type.type, rows, cols);
  w.fill(data.data(), 0, rows);
  return w;
}

}  // namespace

TEST("a layer gives the same bits on every target with one thread, two or five") {
  Random random(41);
  for (const StoredType* type : {&stored_types()[1], &stored_types()[5], &stored_types()[12]}) {
    Packed w = packed_matrix(*type, kHeads * kDim, 256, random);
    std::vector<float> x = random_activations(kTokens, 256, random);
    same_on_every_target(type->name, [&](const Kernels& run) {
      set_threads(1);
      std::vector<float> alone = layer(w, x, false);
      for (int count : {2, 5}) {
        set_threads(count);
        check_same_bits(layer(w, x, false), alone, std::string(run.name) + ": " + std::to_string(count) + " threads");
      }
      return alone;
    });
  }
}

TEST("several callers at once, while the number of threads changes, each get what they would get alone") {
  Random random(42);
  Packed w = packed_matrix(stored_types()[3], kHeads * kDim, 64, random);
  std::vector<float> x = random_activations(9, 64, random);
  set_threads(2);
  std::vector<float> expected = layer(w, x, true);
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&, c] {
      for (int i = 0; i < 20; ++i) {
        check_same_bits(layer(w, x, true), expected, "beside other callers");
        set_threads(1 + (i + c) % 4);
      }
    });
  for (std::thread& caller : callers) caller.join();
  set_threads(2);
}
