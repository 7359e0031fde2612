#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "dispatch.h"
#include "ops.h"
#include "pool.h"

namespace gw {
namespace {

constexpr int kBlockRows = 32;    // query rows of one block: what shares a pass over the keys

// Consecutive tokens of one sequence, cut so that a block has at most kBlockRows query rows.
std::vector<AttendBlock> blocks(const LayerCache& c, const float* q, const int* slots, const int* positions, const int* reach, int tokens, int heads, float scale, int window, float softcap) {
  int group = heads / c.kv_heads, most = std::max(1, kBlockRows / group);
  std::vector<AttendBlock> all;
  for (int t = 0; t < tokens;) {
    int count = 1;
    while (count < most && t + count < tokens && slots[t + count] == slots[t] && positions[t + count] == positions[t] + count) ++count;
    for (int h = 0; h < c.kv_heads; ++h)
      all.push_back({q + ((size_t)t * heads + (size_t)h * group) * c.head_dim, (int64_t)heads * c.head_dim, c.format, c.k, c.v,
                     c.table + (size_t)slots[t] * c.ring, c.ring, c.kv_heads, h, c.head_dim, group, count, positions[t], reach + t, *std::max_element(reach + t, reach + t + count), window, scale, softcap});
    t += count;
  }
  return all;
}

int first_span(const AttendBlock& b) { return b.window ? std::max(0, b.position - b.window + 1) / kSpan : 0; }
int last_span(const AttendBlock& b) { return b.furthest / kSpan; }

// Where one partial result lies: [rows, head_dim] outputs, then maxima, then sums.
struct Partial {
  float *out, *max, *sum;
  Partial(float* at, int rows, int dim) : out(at), max(at + (size_t)rows * dim), sum(max + rows) {}
  static size_t floats(int rows, int dim) { return (size_t)rows * (dim + 2); }
};

void clear(Partial p, int rows, int dim) {
  std::memset(p.out, 0, sizeof(float) * rows * dim);
  std::fill(p.max, p.max + rows, -std::numeric_limits<float>::infinity());
  std::fill(p.sum, p.sum + rows, 0.0f);
}

void finish(const Kernels& run, const AttendBlock& b, Partial p, const float* q, float* out) {
  for (int r = 0; r < b.tokens * b.heads; ++r) {
    float* to = out + (b.q - q) + (r / b.heads) * b.q_token_stride + (size_t)(r % b.heads) * b.head_dim;
    run.scale(p.out + (size_t)r * b.head_dim, 1.0f / p.sum[r], to, b.head_dim);
  }
}

}  // namespace

// Pieces of work are runs of tokens of one page, so that no two threads write the same cache line.
void cache_write(const LayerCache& c, const float* k, const float* v, const int* slots, const int* positions, int tokens) {
  const Kernels& run = kernels();
  const size_t dim = c.head_dim, stride = c.kv_heads * dim, key_bytes = key_page_bytes(c.format, c.head_dim), value_bytes = value_page_bytes(c.format, c.head_dim);
  std::vector<int> runs;   // first token of each
  for (int t = 0; t < tokens; ++t)
    if (t == 0 || slots[t] != slots[t - 1] || positions[t] / kPage != positions[t - 1] / kPage) runs.push_back(t);
  runs.push_back(tokens);
  parallel_for((int)runs.size() - 1, tokens > kPage ? 1 : 4, [&](int begin, int end, int) {
    for (int t = runs[begin]; t < runs[end]; ++t) {
      size_t page = c.table[(size_t)slots[t] * c.ring + (positions[t] / kPage) % c.ring];
      for (int h = 0; h < c.kv_heads; ++h) {
        size_t at = page * c.kv_heads + h;
        run.write_kv(c.format, c.k + at * key_bytes, c.v + at * value_bytes, positions[t] % kPage, k + t * stride + h * dim, v + t * stride + h * dim, c.head_dim);
      }
    }
  });
}

void attend(const LayerCache& c, const float* q, const int* slots, const int* positions, const int* reach, int tokens, int heads, float scale, int window, float softcap, float* out) {
  static std::mutex gate;   // the partial results below are one scratch area: one call at a time
  std::lock_guard<std::mutex> hold(gate);
  const Kernels& run = kernels();
  const int dim = c.head_dim;
  std::vector<AttendBlock> all = blocks(c, q, slots, positions, reach ? reach : positions, tokens, heads, scale, window, softcap);
  const int count = (int)all.size(), most_rows = std::max(kBlockRows, heads / c.kv_heads);
  const size_t partial = Partial::floats(most_rows, dim), scratch = (size_t)most_rows * (dim + kSpan);

  if (count >= 2 * threads() || threads() == 1) {     // enough blocks for all threads: each walks its spans
    parallel_for(count, 1, [&](int begin, int end, int thread) {
      float* memory = (float*)thread_scratch(thread, (2 * partial + scratch) * sizeof(float));
      for (int i = begin; i < end; ++i) {
        const AttendBlock& b = all[i];
        int rows = b.tokens * b.heads;
        Partial total(memory, rows, dim), part(memory + partial, rows, dim);
        clear(total, rows, dim);
        for (int span = first_span(b); span <= last_span(b); ++span) {
          run.attend_span(b, span * kSpan, part.out, part.max, part.sum, memory + 2 * partial);
          run.attend_merge(total.out, total.max, total.sum, part.out, part.max, part.sum, rows, dim);
        }
        finish(run, b, total, q, out);
      }
    });
    return;
  }

  // Few queries (decode): the spans themselves are the work, and are folded together in the same order afterwards.
  struct Work { int block, span; };
  std::vector<Work> work;
  for (int i = 0; i < count; ++i)
    for (int span = first_span(all[i]); span <= last_span(all[i]); ++span) work.push_back({i, span});
  constexpr int kPartials = 513;      // thread_scratch number of the caller's own use
  float* parts = (float*)thread_scratch(kPartials, (work.size() + 1) * partial * sizeof(float));
  parallel_for((int)work.size(), 1, [&](int begin, int end, int thread) {
    float* memory = (float*)thread_scratch(thread, scratch * sizeof(float));
    for (int i = begin; i < end; ++i) {
      const AttendBlock& b = all[work[i].block];
      Partial part(parts + i * partial, b.tokens * b.heads, dim);
      run.attend_span(b, work[i].span * kSpan, part.out, part.max, part.sum, memory);
    }
  });
  for (size_t i = 0; i < work.size();) {
    const AttendBlock& b = all[work[i].block];
    int rows = b.tokens * b.heads, block = work[i].block;
    Partial total(parts + work.size() * partial, rows, dim);
    clear(total, rows, dim);
    for (; i < work.size() && work[i].block == block; ++i) {
      Partial part(parts + i * partial, rows, dim);
      run.attend_merge(total.out, total.max, total.sum, part.out, part.max, part.sum, rows, dim);
    }
    finish(run, b, total, q, out);
  }
}

}  // namespace gw
