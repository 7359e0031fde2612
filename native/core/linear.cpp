#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include "dispatch.h"
#include "ops.h"
#include "pack.h"
#include "pool.h"

namespace gw {
namespace {

constexpr size_t kChunkBytes = 384 << 10;   // of activations that pass over a prepared tile: they stay in the second-level cache
constexpr int kMostTokens = 512;            // of a chunk
constexpr int kUnit = 2;                    // tiles a piece of work takes

// The activations of one call; kept between calls, one call at a time.
std::mutex gate_of_calls;

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

int chunks(const Activations& a) { return (a.tokens + a.chunk - 1) / a.chunk; }

// Room for the activations of all tokens, cut into chunks of about equal length.
Activations activations(int tokens, int cols, bool wide) {
  Activations a{};
  a.tokens = tokens;
  a.cols = cols;
  a.groups = cols / kGroup;
  a.wide = wide;
  a.outliers = wide ? 0 : outliers(cols);
  int most = std::clamp((int)(kChunkBytes / a.row_bytes()), 32, kMostTokens);
  int pieces = (tokens + most - 1) / most;
  a.chunk = (tokens + pieces - 1) / pieces;
  size_t scales = (size_t)tokens * a.groups, kept = (size_t)tokens * a.outliers, lists = (size_t)pieces * a.panels();
  size_t tables = a.few() ? (3 + 1) * align64(scales * 4) + (2 + 1) * align64(scales * 8) : 0;   // 3 starts and 1 offset of groups, 2 and 1 of half groups
  size_t bytes = tables + align64(tokens * a.row_bytes()) + align64(scales * 4) + align64(scales * 8) + 3 * align64(kept * 4) +
                 align64((size_t)pieces * cols * 4) + align64(lists * 4);
  Arena arena{(char*)thread_scratch(kActivations, bytes)};
  a.codes = arena.take<int8_t>(tokens * a.row_bytes());
  a.scale = arena.take<float>(scales);
  a.sums = arena.take<int32_t>(2 * scales);
  a.outlier_at = arena.take<int32_t>(kept);
  a.outlier = arena.take<float>(kept);
  a.outlier_slot = arena.take<int32_t>(kept);
  a.column = arena.take<int32_t>((size_t)pieces * cols);
  a.columns = arena.take<int32_t>(lists);
  if (a.few()) {
    for (int i = 0; i < kStartTables; ++i) a.start[i] = arena.take<int32_t>(scales * (i >= 3 ? 2 : 1));
    for (int i = 0; i < 2; ++i) a.offset[i] = arena.take<float>(scales * (i + 1));
  }
  return a;
}

// Lists the distinct outlier columns of each panel of one chunk, and tells each outlier its place in the list.
void list_columns(const Activations& a, int chunk, int* slot_of) {
  std::fill(slot_of, slot_of + a.cols, -1);
  int* columns = a.columns + (size_t)chunk * a.panels();
  int* column = a.column + (size_t)chunk * a.cols;
  std::fill(columns, columns + a.panels(), 0);
  const size_t last = (size_t)std::min((chunk + 1) * a.chunk, a.tokens) * a.outliers;
  for (size_t i = (size_t)chunk * a.chunk * a.outliers; i < last; ++i) {
    int k = a.outlier_at[i], panel = k / kPanel;
    if (slot_of[k] < 0) {
      slot_of[k] = columns[panel]++;
      column[(size_t)panel * kPanel + slot_of[k]] = k;
    }
    a.outlier_slot[i] = slot_of[k];
  }
}

// Starts and offsets of few tokens.
void fill_tables(const Activations& a) {
  for (int i = 0; i < a.tokens * a.groups; ++i) {
    int low = a.sums[2 * i], high = a.sums[2 * i + 1], sum = low + high;
    a.start[0][i] = -8 * sum;
    a.start[1][i] = -16 * sum;
    a.start[2][i] = -128 * sum;
    a.start[3][2 * i] = -128 * low;
    a.start[3][2 * i + 1] = -128 * high;
    a.start[4][2 * i] = -32 * low;
    a.start[4][2 * i + 1] = -32 * high;
    a.offset[0][i] = (float)sum * a.scale[i];
    a.offset[1][2 * i] = (float)low * a.scale[i];
    a.offset[1][2 * i + 1] = (float)high * a.scale[i];
  }
}

Activations quantised(const Kernels& run, const float* x, int tokens, int cols, bool wide) {
  Activations a = activations(tokens, cols, wide);
  parallel_for(tokens, std::max(1, 4096 / cols), [&](int begin, int end, int thread) {
    uint8_t* scratch = (uint8_t*)thread_scratch(thread, quantise_scratch(cols));
    for (int t = begin; t < end; ++t) run.quantise(x + (size_t)t * cols, a, t, scratch);
  });
  if (a.few()) fill_tables(a);
  else if (!wide)
    parallel_for(chunks(a), 1, [&](int begin, int end, int thread) {
      int* slot_of = (int*)thread_scratch(thread, (size_t)cols * sizeof(int));
      for (int chunk = begin; chunk < end; ++chunk) list_columns(a, chunk, slot_of);
    });
  return a;
}

}  // namespace

Packed::Packed(int type, int rows, int cols) : Packed(type, rows, cols, nullptr) {
  memory_ = map_block(bytes());
  view_.data = (const uint8_t*)memory_.get();
  if (view_.codes != Codes::split) return;
  std::vector<int32_t> first;   // until others are chosen
  for (int i = 0; i < view_.groups() * kExact; ++i) first.push_back(i / kExact * kGroup + i % kExact);
  choose(first.data());
}

Packed::Packed(int type, int rows, int cols, const uint8_t* data) : type_(type) {
  TypeInfo info = type_info(type);
  view_ = packed_shape(rows, cols, info.codes, info.scales);
  view_.data = data;
  if (data && view_.codes == Codes::split)
    for (int i = 0; i < view_.groups() * kExact; ++i)
      if (int k = view_.exact_columns()[i]; k / kGroup != i / kExact || k < 0 || (i % kExact && k <= view_.exact_columns()[i - 1]))
        throw std::invalid_argument("Packed: the exact columns are not columns of their groups");
}

void Packed::choose(const int32_t* columns) {
  std::memcpy(const_cast<uint8_t*>(view_.data) + view_.columns_at, columns, (size_t)view_.groups() * kExact * 4);
}

size_t Packed::bytes_of(int type, int rows, int cols) { return Packed(type, rows, cols, nullptr).bytes(); }

size_t Packed::row_bytes() const {
  TypeInfo info = type_info(type_);
  return (size_t)view_.cols / info.block_values * info.block_bytes;
}

bool Packed::fill(const uint8_t* data, int first, int rows) {
  const size_t row_bytes = this->row_bytes();
  std::atomic<bool> finite{true};
  parallel_for((rows + kRows - 1) / kRows, 8, [&](int begin, int end, int) {
    for (int i = begin; i < end; ++i)
      if (!pack_tile((Type)type_, data + (size_t)i * kRows * row_bytes, row_bytes, view_, first / kRows + i, std::min(kRows, rows - i * kRows))) finite = false;
  });
  return finite;
}

void linear(const float* x, int tokens, int cols, const std::vector<const PackedView*>& w, bool wide, const std::vector<float*>& out) {
  if (tokens == 0) return;
  std::lock_guard<std::mutex> hold(gate_of_calls);
  const Kernels& run = kernels();
  Activations a{};
  a.tokens = tokens;
  a.chunk = std::min(tokens, kMostTokens);
  if (std::any_of(w.begin(), w.end(), [](const PackedView* p) { return !is_float(p->codes); })) a = quantised(run, x, tokens, cols, wide);
  auto units = [](const PackedView& p) { return (p.tiles() + kUnit - 1) / kUnit; };
  int all = 0;
  for (const PackedView* p : w) all += units(*p);
  // Pieces of neighbouring tiles: long enough to read memory in order, short enough to end together.
  int items = all * chunks(a), grain = std::clamp(items / (threads() * 8), 1, 64);
  parallel_for(items, grain, [&](int begin, int end, int thread) {
    uint8_t* scratch = (uint8_t*)thread_scratch(thread, linear_scratch(a.chunk));
    for (int item = begin; item < end; ++item) {
      int unit = item % all, first = item / all * a.chunk, last = std::min(first + a.chunk, tokens);
      size_t i = 0;
      for (; unit >= units(*w[i]); ++i) unit -= units(*w[i]);
      const PackedView& p = *w[i];
      int tile = unit * kUnit, count = std::min(kUnit, p.tiles() - tile);
      if (!is_float(p.codes)) run.linear_quantised(p, tile, count, a, first, last, out[i], p.rows, scratch);
      else for (int q = 0; q < count; ++q) run.linear_float(p, tile + q, x, first, last, out[i], p.rows);
    }
  });
  if (tokens == 1) expect(w.back()->data + w.back()->bytes);   // models keep their matrices in the order of use
}

// A piece of work computes the same rows of both products for its chunk of tokens, then combines them while they are
// near: the two wide intermediate arrays are never written to memory.
void linear_geglu(const float* x, int tokens, int cols, const PackedView& gate, const PackedView& up, bool wide, float* out) {
  if (tokens == 0) return;
  std::lock_guard<std::mutex> hold(gate_of_calls);
  const Kernels& run = kernels();
  Activations a{};
  a.tokens = tokens;
  a.chunk = std::min(tokens, kMostTokens);
  if (!is_float(gate.codes) || !is_float(up.codes)) a = quantised(run, x, tokens, cols, wide);
  const int units = (gate.tiles() + kUnit - 1) / kUnit, items = units * chunks(a), width = kUnit * kRows;
  parallel_for(items, std::clamp(items / (threads() * 8), 1, 64), [&](int begin, int end, int thread) {
    size_t product = (size_t)a.chunk * width * sizeof(float);
    uint8_t* memory = (uint8_t*)thread_scratch(thread, align64(linear_scratch(a.chunk)) + 2 * product);
    float *gates = (float*)(memory + align64(linear_scratch(a.chunk))), *ups = (float*)((uint8_t*)gates + product);
    for (int item = begin; item < end; ++item) {
      int tile = item % units * kUnit, first = item / units * a.chunk, last = std::min(first + a.chunk, tokens);
      int count = std::min(kUnit, gate.tiles() - tile), n = std::min(width, gate.rows - tile * kRows);
      const PackedView* parts[2] = {&gate, &up};
      float* to[2] = {gates, ups};
      for (int i = 0; i < 2; ++i) {
        float* y = to[i] - (ptrdiff_t)first * width - (ptrdiff_t)tile * kRows;   // so that the first result is at to[i]
        if (!is_float(parts[i]->codes)) run.linear_quantised(*parts[i], tile, count, a, first, last, y, width, memory);
        else for (int q = 0; q < count; ++q) run.linear_float(*parts[i], tile + q, x, first, last, y, width);
      }
      for (int t = first; t < last; ++t) {
        size_t row = (size_t)(t - first) * width;
        run.geglu(gates + row, ups + row, out + (size_t)t * gate.rows + tile * kRows, n);
      }
    }
  });
  if (tokens == 1) expect(up.data + up.bytes);
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
