#include <algorithm>
#include <mutex>

#include "dispatch.h"
#include "ops.h"
#include "pack.h"
#include "pool.h"

namespace gw {
namespace {

constexpr int kTokenChunk = 128;   // tokens one piece of work takes: bounds what must stay in the second-level cache

// The activations of one call; kept between calls, one call at a time.
std::mutex gate;

struct Arena {
  char* at;
  template <class T>
  T* take(size_t n) {
    T* p = (T*)at;
    at += align64(n * sizeof(T));
    return p;
  }
};

constexpr int kActivations = 512;   // thread_scratch number of the caller's own use

Activations activations(int tokens, int cols, bool wide) {
  int groups = cols / kGroup;
  size_t values = (size_t)tokens * cols, scales = (size_t)tokens * groups;
  size_t bytes = align64(values * (wide ? 2 : 1)) + align64(scales * 4) + align64(scales * 8) + 2 * align64((size_t)tokens * kOutliers * 4);
  Arena arena{(char*)thread_scratch(kActivations, bytes)};
  Activations a{tokens, cols, groups, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
  if (wide) a.q16 = arena.take<int16_t>(values);
  else a.q8 = arena.take<int8_t>(values);
  a.scale = arena.take<float>(scales);
  a.sums = arena.take<int32_t>(2 * scales);
  a.outlier_at = arena.take<int32_t>((size_t)tokens * kOutliers);
  a.outlier = arena.take<float>((size_t)tokens * kOutliers);
  return a;
}

}  // namespace

Packed::Packed(int type, int rows, int cols) : Packed(type, rows, cols, nullptr) {
  memory_ = map_block(bytes());
  view_.data = (const uint8_t*)memory_.get();
}

Packed::Packed(int type, int rows, int cols, const uint8_t* data) : type_(type) {
  TypeInfo info = type_info(type);
  view_ = packed_shape(rows, cols, info.codes, info.scales);
  view_.data = data;
}

size_t Packed::bytes_of(int type, int rows, int cols) { return Packed(type, rows, cols, nullptr).bytes(); }

size_t Packed::row_bytes() const {
  TypeInfo info = type_info(type_);
  return (size_t)view_.cols / info.block_values * info.block_bytes;
}

void Packed::fill(const uint8_t* data, int first, int rows) {
  const size_t row_bytes = this->row_bytes();
  parallel_for((rows + kRows - 1) / kRows, 8, [&](int begin, int end, int) {
    for (int i = begin; i < end; ++i)
      pack_tile((Type)type_, data + (size_t)i * kRows * row_bytes, row_bytes, view_, first / kRows + i, std::min(kRows, rows - i * kRows));
  });
}

void linear(const float* x, int tokens, int cols, const std::vector<const PackedView*>& w, bool wide, const std::vector<float*>& out) {
  std::lock_guard<std::mutex> hold(gate);
  const Kernels& run = kernels();
  Activations a{};
  if (std::any_of(w.begin(), w.end(), [](const PackedView* p) { return !is_float(p->codes); })) {
    a = activations(tokens, cols, wide);
    parallel_for(tokens, 4, [&](int begin, int end, int) {
      for (int t = begin; t < end; ++t) run.quantise(x + (size_t)t * cols, a, t);
    });
  }
  int tiles = 0;
  for (const PackedView* p : w) tiles += p->tiles();
  int chunks = (tokens + kTokenChunk - 1) / kTokenChunk;
  // Pieces of neighbouring tiles: long enough to read memory in order, short enough to end together.
  int grain = std::clamp(tiles * chunks / (threads() * 8), 1, 64);
  parallel_for(tiles * chunks, grain, [&](int begin, int end, int thread) {
    uint8_t* scratch = (uint8_t*)thread_scratch(thread, (size_t)cols * kRows);
    for (int item = begin; item < end; ++item) {
      int tile = item % tiles, first = item / tiles * kTokenChunk, last = std::min(first + kTokenChunk, tokens);
      size_t i = 0;
      for (; tile >= w[i]->tiles(); ++i) tile -= w[i]->tiles();
      const PackedView& p = *w[i];
      if (is_float(p.codes)) run.linear_float(p, tile, x, first, last, out[i], p.rows);
      else run.linear_quantised(p, tile, a, first, last, out[i], p.rows, scratch);
    }
  });
}

void embed(const PackedView& table, const int* tokens, int count, float factor, float* out) {
  const Kernels& run = kernels();
  parallel_for(count, 16, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) {
      float* to = out + (size_t)t * table.cols;
      unpack_row(table, tokens[t], to);
      run.scale(to, factor, to, table.cols);
    }
  });
}

}  // namespace gw
