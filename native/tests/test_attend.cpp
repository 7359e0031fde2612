// Attention over pages, kernel by kernel: windows, spans, soft-capping, head sizes.
#include <algorithm>
#include <cmath>

#include "check.h"

using namespace gw;
using namespace gw::testing;

namespace {

struct Shape {
  int heads, head_dim, tokens, position, window = 0;
  float softcap = 0.0f;
  KvFormat format = KvFormat::f32;
};

// Keys and values of one sequence: [position, head_dim].
struct Sequence {
  std::vector<float> keys, values;
  int length;

  Sequence(int length, int dim, Random& random)
      : keys(random.normals((size_t)length * dim)), values(random.normals((size_t)length * dim)), length(length) {}
};

// The pages of a sequence, of exactly their size, in reverse order; the second of two kv heads is used.
struct Cache {
  std::unique_ptr<uint8_t[]> k, v;
  std::unique_ptr<int32_t[]> table;
  int pages;

  Cache(const Kernels& run, const Shape& s, const Sequence& from) {
    const int dim = s.head_dim;
    const size_t k_bytes = key_page_bytes(s.format, dim), v_bytes = value_page_bytes(s.format, dim);
    pages = (from.length + kPage - 1) / kPage;
    k = exactly<uint8_t>(pages * 2 * k_bytes);
    v = exactly<uint8_t>(pages * 2 * v_bytes);
    table = exactly<int32_t>(pages);
    for (int p = 0; p < pages; ++p) table[p] = pages - 1 - p;
    for (int j = 0; j < from.length; ++j) {
      size_t page = 2 * (size_t)table[j / kPage] + 1;
      Floats key(from.keys.begin() + (size_t)j * dim, from.keys.begin() + (size_t)(j + 1) * dim);
      Floats value(from.values.begin() + (size_t)j * dim, from.values.begin() + (size_t)(j + 1) * dim);
      run.write_kv(s.format, &k[page * k_bytes], &v[page * v_bytes], j % kPage, exact_copy(key).get(), exact_copy(value).get(), dim);
    }
  }
};

AttendBlock block(const Shape& s, const Cache& c, const float* q, const std::vector<int>& reach) {
  return {q, (int64_t)s.heads * s.head_dim, s.format, c.k.get(), c.v.get(), c.table.get(), c.pages, 2, 1, s.head_dim, s.heads,
          s.tokens, s.position, reach.data(), *std::max_element(reach.begin(), reach.end()), s.window, 0.3f, s.softcap};
}

// All spans of a block folded together: outputs, maxima, sums.
std::vector<float> attended(const Kernels& run, const Shape& s, const Sequence& sequence, const std::vector<float>& queries) {
  int rows = s.tokens * s.heads, dim = s.head_dim;
  Cache cache(run, s, sequence);
  auto q = exact_copy(queries);
  std::vector<int> reach(s.tokens);
  for (int t = 0; t < s.tokens; ++t) reach[t] = s.position + t;
  AttendBlock b = block(s, cache, q.get(), reach);
  auto out = exactly<float>((size_t)rows * dim), max = exactly<float>(rows), sum = exactly<float>(rows);
  auto part = exactly<float>((size_t)rows * dim), part_max = exactly<float>(rows), part_sum = exactly<float>(rows);
  auto scratch = exactly<float>((size_t)rows * (dim + kSpan));
  for (int r = 0; r < rows; ++r) max[r] = -INFINITY;
  int oldest = s.window ? std::max(0, s.position - s.window + 1) : 0;
  for (int span = oldest / kSpan * kSpan; span < s.position + s.tokens; span += kSpan) {
    run.attend_span(b, span, part.get(), part_max.get(), part_sum.get(), scratch.get());
    run.attend_merge(out.get(), max.get(), sum.get(), part.get(), part_max.get(), part_sum.get(), rows, dim);
  }
  std::vector<float> all(out.get(), out.get() + (size_t)rows * dim);
  all.insert(all.end(), max.get(), max.get() + rows);
  all.insert(all.end(), sum.get(), sum.get() + rows);
  return all;
}

constexpr KvFormat kFormats[] = {KvFormat::f32, KvFormat::f16, KvFormat::i8};
const char* name_of(KvFormat f) { return f == KvFormat::f32 ? "f32" : f == KvFormat::f16 ? "f16" : "i8"; }
double tolerance(KvFormat f) { return f == KvFormat::f32 ? 3e-5 : f == KvFormat::f16 ? 5e-3 : 8e-2; }

// softmax(q . k) v in double precision.
void check_near_exact(const Floats& got, const Shape& s, const Sequence& c, const Floats& q, const std::string& what) {
  int dim = s.head_dim, rows = s.tokens * s.heads;
  for (int r = 0; r < rows; ++r) {
    int last = s.position + r / s.heads, first = s.window ? std::max(0, last - s.window + 1) : 0;
    std::vector<double> mean(dim);
    double total = 0;
    for (int j = first; j <= last; ++j) {
      double score = 0;
      for (int d = 0; d < dim; ++d) score += 0.3 * q[(size_t)r * dim + d] * c.keys[(size_t)j * dim + d];
      if (s.softcap > 0) score = s.softcap * std::tanh(score / s.softcap);
      total += std::exp(score);
      for (int d = 0; d < dim; ++d) mean[d] += std::exp(score) * c.values[(size_t)j * dim + d];
    }
    float sum = got[(size_t)rows * dim + rows + r];
    for (int d = 0; d < dim; ++d) {
      double error = got[(size_t)r * dim + d] / sum - mean[d] / total;
      check(std::fabs(error) < tolerance(s.format), what + ": not softmax(q . k) v");
    }
  }
}

}  // namespace

TEST("attention gives the same bits on every target, and is what its formula says") {
  Random random(31);
  for (KvFormat format : kFormats)
    for (int window : {0, 1, 8, 33, 300})
      for (float softcap : {0.0f, 5.0f})
        for (Shape s : {Shape{4, 16, 5, 0}, {1, 6, 1, 290}, {3, 40, 3, 254}, {2, 64, 9, 21}}) {
          s.window = window;
          s.softcap = softcap;
          s.format = format;
          std::string what = std::to_string(s.heads) + " heads of " + std::to_string(s.head_dim) + " at " +
                             std::to_string(s.position) + ", window " + std::to_string(window) + ", softcap " +
                             std::to_string(softcap) + ", " + name_of(format);
          Sequence sequence(s.position + s.tokens, s.head_dim, random);
          std::vector<float> q = random.normals((size_t)s.tokens * s.heads * s.head_dim);
          auto got = same_on_every_target(what, [&](const Kernels& run) { return attended(run, s, sequence, q); });
          check_near_exact(got, s, sequence, q, what);
        }
}

TEST("a token attends to the same bits alone and in a block") {
  Random random(32);
  for (KvFormat format : kFormats) {
    Shape s{2, 24, 12, 250, 20, 0.0f, format};
    Sequence sequence(s.position + s.tokens, s.head_dim, random);
    size_t stride = (size_t)s.heads * s.head_dim;
    std::vector<float> q = random.normals(s.tokens * stride);
    same_on_every_target("a block of twelve tokens", [&](const Kernels& run) {
      std::vector<float> together = attended(run, s, sequence, q);
      for (int t = 0; t < s.tokens; ++t) {
        Shape one = s;
        one.tokens = 1;
        one.position += t;
        auto alone = attended(run, one, sequence, {q.begin() + t * stride, q.begin() + (t + 1) * stride});
        alone.resize(stride);
        Floats in_block(together.begin() + t * stride, together.begin() + (t + 1) * stride);
        check_same_bits(alone, in_block, std::string(run.name) + ": alone");
      }
      return together;
    });
  }
}

TEST("what is not a number spoils the same rows on every target, and is not lost in any format") {
  Random random(33);
  for (KvFormat format : kFormats)
    for (int place = 0; place < 12; ++place) {
      Shape s{2, 20, 4, 40, 0, 0.0f, format};
      Sequence sequence(s.position + s.tokens, s.head_dim, random);
      std::vector<float> q = random.normals((size_t)s.tokens * s.heads * s.head_dim);
      float poison = place % 3 == 0 ? NAN : place % 3 == 1 ? INFINITY : -INFINITY;
      if (place < 4) q[(size_t)random.below((int)q.size())] = poison;
      else (place < 8 ? sequence.keys : sequence.values)[5 * place] = poison;   // of the first tokens, which all see
      std::string what = std::string(name_of(format)) + ", place " + std::to_string(place);
      auto got = same_on_every_target(what, [&](const Kernels& run) { return attended(run, s, sequence, q); });
      int spoilt = 0;
      for (float value : got) spoilt += !std::isfinite(value);
      check(spoilt > 0 || (place >= 4 && place < 8 && poison < 0), what + ": all is finite");   // a weight of 0 is right there
    }
}
