// Operations on whole arrays: the same bits for any number of threads, several callers at once.
#include <thread>
#include <utility>

#include "../core/ops.h"
#include "../core/pool.h"
#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

constexpr int kDim = 32, kHeads = 4, kTokens = 70;

// A little of everything a layer does, one result after the other.
std::vector<float> layer(const Packed& w, const std::vector<float>& x, bool wide, KvFormat format) {
  const int cols = w.view().cols, rows = w.view().rows, tokens = (int)x.size() / cols;
  std::vector<float> y((size_t)tokens * rows), normed(y.size()), turned(y.size()), gated(y.size()), attended(y.size());
  std::vector<float> scale(rows, 0.5f), angles((size_t)tokens * kDim);
  auto k = exactly<uint8_t>(4 * key_page_bytes(format, kDim)), v = exactly<uint8_t>(4 * value_page_bytes(format, kDim));
  std::vector<int> slots(tokens, 0), positions(tokens), table = {3, 1, 0, 2};
  for (int t = 0; t < tokens; ++t) positions[t] = t;
  linear(x.data(), tokens, cols, {&w.view()}, wide, {y.data()});
  rms_norm(y.data(), tokens, rows, scale.data(), 1e-6f, normed.data());
  rope_table(positions.data(), tokens, kDim, 10000.0, 1.0, kDim / 2, angles.data());
  rope(normed.data(), tokens, rows / kDim, kDim, angles.data(), turned.data());
  LayerCache cache{format, k.get(), v.get(), table.data(), 4, 1, kDim};
  std::vector<float> keys;   // the first head's
  for (int t = 0; t < tokens; ++t) keys.insert(keys.end(), turned.begin() + t * rows, turned.begin() + t * rows + kDim);
  cache_write(cache, keys.data(), keys.data(), slots.data(), positions.data(), tokens);
  attend(cache, turned.data(), slots.data(), positions.data(), nullptr, tokens, rows / kDim, 0.2f, 40, 0.0f, attended.data());
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
  for (auto [number, format] : {std::pair{1, KvFormat::f32}, {5, KvFormat::f16}, {12, KvFormat::i8}}) {
    const StoredType& type = stored_types()[number];
    Packed w = packed_matrix(type, kHeads * kDim, 256, random);
    std::vector<float> x = random_activations(kTokens, 256, random);
    same_on_every_target(type.name, [&](const Kernels& run) {
      set_threads(1);
      std::vector<float> alone = layer(w, x, false, format);
      for (int count : {2, 5}) {
        set_threads(count);
        check_same_bits(layer(w, x, false, format), alone, std::string(run.name) + ": " + std::to_string(count) + " threads");
      }
      return alone;
    });
  }
  set_threads(2);
}

TEST("a norm joined with a rotation, and a sum with a norm, are the two one after the other") {
  Random random(43);
  for (int n : {6, 32, 40}) {
    const int rows = 7, heads = 3;
    const size_t all = (size_t)rows * heads * n;
    std::vector<float> x = random.normals(all), y = random.normals(all), scale = random.normals(n), next = random.normals(n);
    std::vector<float> angles = random.normals((size_t)rows * n), normed(all), expected(all), sum(all);
    auto in = exact_copy(x), other = exact_copy(y), table = exact_copy(angles), first = exact_copy(scale), second = exact_copy(next);
    auto turned = exactly<float>(all), added = exactly<float>(all), after = exactly<float>(all);
    same_on_every_target(std::to_string(n) + " values", [&](const Kernels& run) {
      rms_norm(x.data(), rows * heads, n, scale.data(), 1e-6f, normed.data());
      rope(normed.data(), rows, heads, n, angles.data(), expected.data());
      norm_rope(in.get(), rows, heads, n, first.get(), 1e-6f, table.get(), turned.get());
      std::vector<float> got(turned.get(), turned.get() + all);
      check_same_bits(got, expected, std::string(run.name) + ": norm_rope");
      rms_norm(y.data(), rows * heads, n, scale.data(), 1e-6f, normed.data());
      add(x.data(), normed.data(), rows * heads, n, sum.data());
      rms_norm(sum.data(), rows * heads, n, next.data(), 1e-6f, expected.data());
      add_norm(in.get(), other.get(), rows * heads, n, first.get(), second.get(), 1e-6f, added.get(), after.get());
      check_same_bits({added.get(), added.get() + all}, sum, std::string(run.name) + ": the sum of add_norm");
      check_same_bits({after.get(), after.get() + all}, expected, std::string(run.name) + ": the norm of add_norm");
      got.insert(got.end(), after.get(), after.get() + all);
      return got;
    });
  }
}

TEST("operations on rows and streams give the same bits on every target") {
  Random random(44);
  for (int n : {6, 16, 33, 64}) {
    const int rows = 5, streams = 4;
    const size_t one = (size_t)rows * n, all = one * streams;
    auto x = exact_copy(random.normals(all)), d = exact_copy(random.normals(one)), factor = exact_copy(random.normals((size_t)rows * streams * streams));
    auto capped = exactly<float>(one), soft = exactly<float>(one), sparse = exactly<float>(one), squares = exactly<float>(rows);
    auto mixed = exactly<float>(all), changed = exactly<float>(all);
    same_on_every_target(std::to_string(n) + " values", [&](const Kernels&) {
      softcap(d.get(), 3.0f, rows, n, capped.get());
      softmax(d.get(), rows, n, soft.get());
      sparsify(d.get(), 0.5f, rows, n, sparse.get());
      mean_square(d.get(), rows, n, squares.get());
      mix(x.get(), factor.get(), rows, streams, streams, n, mixed.get());
      spread(x.get(), factor.get(), d.get(), rows, streams, n, changed.get());
      std::vector<float> got(capped.get(), capped.get() + one);
      for (const float* part : {soft.get(), sparse.get()}) got.insert(got.end(), part, part + one);
      got.insert(got.end(), squares.get(), squares.get() + rows);
      for (const float* part : {mixed.get(), changed.get()}) got.insert(got.end(), part, part + all);
      return got;
    });
  }
}

TEST("several callers at once, while the number of threads changes, each get what they would get alone") {
  Random random(42);
  Packed w = packed_matrix(stored_types()[3], kHeads * kDim, 64, random);
  std::vector<float> x = random_activations(9, 64, random);
  set_threads(2);
  std::vector<float> expected = layer(w, x, true, KvFormat::f16);
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&, c] {
      for (int i = 0; i < 20; ++i) {
        check_same_bits(layer(w, x, true, KvFormat::f16), expected, "beside other callers");
        set_threads(1 + (i + c) % 4);
      }
    });
  for (std::thread& caller : callers) caller.join();
  set_threads(2);
}
