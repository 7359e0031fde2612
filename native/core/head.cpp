// The k largest products of a hidden state with a split matrix, found without reading all of it, and certainly.
//
//  1. scan     Every row, from the high half of each weight (and the low halves of a few columns) and the hidden state
//              rounded to bytes. What that leaves out is at most
//                 |r . h|  +  |w . (x - h)|   <=   bound(row) |h_rest|  +  norm |x - h|
//              with r the low halves left out, h the rounded state, h_rest its columns that are not exact (Cauchy and
//              Schwarz), and a little for the rounding of float sums.
//  2. seeds    The exact product of the k rows that look best, each the best of its unit of 32. The smallest of them is
//              a limit that k rows reach, so no row below it is among the k largest.
//  3. collect  Rows that may reach the limit by 1 are looked at again with all their low halves; those that still may
//              get their exact product. The k largest of these are the answer.
// How many rows pass depends on the text (docs/decisions/two-stage-head.md); the result does not.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>

#include "dispatch.h"
#include "ops.h"
#include "pool.h"

namespace gw {
namespace {

constexpr int kUnitTiles = 2, kUnitRows = kUnitTiles * kRows;

struct Found {
  float value;
  int row;
  bool operator<(const Found& o) const { return value > o.value || (value == o.value && row < o.row); }
};

// Hidden states as the kernels want them, and the norms that bounds are made of.
struct Query {
  std::vector<int16_t> code;
  std::vector<int8_t> high, exact, rest;
  std::vector<float> wide_scale, scale;
  std::vector<int32_t> start, rest_start;
  std::vector<double> rest_norm, slack;   // per token: |h_rest|; what a row of norm 1 may be off beside its bound
  std::vector<bool> good;                 // per token: finite
  HeadQuery view;
};

Query query_of(const Kernels& run, const float* x, int tokens, const PackedView& w) {
  const int cols = w.cols, groups = w.groups();
  Query q;
  Activations a{};
  std::vector<int32_t> sums(2 * (size_t)groups);
  std::vector<int8_t> bytes(2 * (size_t)cols);
  q.code.resize((size_t)tokens * cols);
  q.high.resize((size_t)tokens * cols);
  q.rest.resize((size_t)tokens * cols);
  q.exact.resize((size_t)tokens * groups * kExact);
  q.wide_scale.resize((size_t)tokens * groups);
  q.scale.resize((size_t)tokens * groups);
  q.start.resize((size_t)tokens * groups);
  q.rest_start.resize((size_t)tokens * groups);
  a.tokens = 1, a.cols = cols, a.groups = groups, a.wide = true, a.codes = bytes.data(), a.sums = sums.data();
  uint8_t* scratch = (uint8_t*)thread_scratch(515, quantise_scratch(cols));
  for (int t = 0; t < tokens; ++t) {
    a.scale = q.wide_scale.data() + (size_t)t * groups;
    run.quantise(x + (size_t)t * cols, a, 0, scratch);
    int16_t* code = q.code.data() + (size_t)t * cols;
    int8_t* rest = q.rest.data() + (size_t)t * cols;
    double rest_square = 0, off_square = 0, square = 0;
    for (int g = 0; g < groups; ++g) {
      const size_t at = (size_t)g * tokens + t;
      int8_t* high = q.high.data() + at * kGroup - g * kGroup;   // indexed by column
      double scale = a.scale[g], group_rest = 0, group_off = 0, group_square = 0;
      int sum = 0, exact_sum = 0;
      for (int k = g * kGroup; k < (g + 1) * kGroup; ++k) {
        if (run.planes) code[k] = (int16_t)(256 * bytes[k] + bytes[cols + k]);
        else std::memcpy(code + k, bytes.data() + 2 * k, 2);
        high[k] = rest[k] = (int8_t)((code[k] + 128) >> 8);
        sum += high[k];
        double off = code[k] - 256.0 * high[k];
        group_off += off * off;
        group_square += (double)code[k] * code[k];
      }
      for (int i = 0; i < kExact; ++i) {
        int k = w.exact_columns()[g * kExact + i];
        q.exact[at * kExact + i] = high[k];
        exact_sum += high[k];
        rest[k] = 0;
      }
      for (int k = g * kGroup; k < (g + 1) * kGroup; ++k) group_rest += 65536.0 * rest[k] * rest[k];
      q.scale[at] = 256.0f * a.scale[g];
      q.start[at] = -120 * sum - 8 * exact_sum;
      q.rest_start[at] = -8 * (sum - exact_sum);
      rest_square += scale * scale * group_rest;
      off_square += scale * scale * group_off;
      square += scale * scale * group_square;
    }
    q.good.push_back(std::isfinite(square));
    q.rest_norm.push_back(std::sqrt(rest_square) * (1 + 1e-6));
    // Sums of a few dozen float terms, each off by 2^-24 of at most |w| |x| in all: 1e-5 is ten times that.
    q.slack.push_back(std::sqrt(off_square) * (1 + 1e-6) + 1e-5 * std::sqrt(square));
  }
  q.view = {tokens, cols, groups, q.code.data(), q.wide_scale.data(), q.high.data(), q.exact.data(), q.rest.data(), q.scale.data(), q.start.data(), q.rest_start.data()};
  return q;
}

struct Scan {
  float* near;      // [tokens, rows], whole units: the products of the scan
  float* best;      // [tokens, units]: the largest of each
  int rows, units;
};

// In units of at least one whole row below `below`.
void scan(const Kernels& run, const PackedView& w, const Query& q, int below, const Scan& to) {
  const int tokens = q.view.tokens;
  parallel_for(to.units, std::clamp(to.units / (threads() * 16), 1, 64), [&](int begin, int end, int thread) {
    uint8_t* scratch = (uint8_t*)thread_scratch(thread, head_scratch(w.cols));
    for (int unit = begin; unit < end; ++unit) {
      int tile = unit * kUnitTiles, count = below - unit * kUnitRows;
      float *near = to.near + (size_t)unit * kUnitRows, *best = to.best + unit;
      run.head_scan(w, tile, std::min(kUnitTiles, w.tiles() - tile), q.view, near, to.rows, best, to.units, scratch);
      if (count < kUnitRows)   // the last one: only rows below `below` count
        for (int t = 0; t < tokens; ++t) best[(size_t)t * to.units] = *std::max_element(near + (size_t)t * to.rows, near + (size_t)t * to.rows + count);
    }
  });
}

// The exact products of the best rows of the k best units; of all rows, if there are fewer units.
std::vector<Found> seeds(const Kernels& run, const PackedView& w, const Query& q, int t, int k, int below, const Scan& from) {
  std::vector<Found> all;
  auto add = [&](int row) { all.push_back({run.head_exact(w, row, q.view, t), row}); };
  if (k > from.units) {
    for (int row = 0; row < below; ++row) add(row);
    return all;
  }
  std::vector<float> value(k);
  std::vector<int> unit(k);
  run.top_k(from.best + (size_t)t * from.units, from.units, k, value.data(), unit.data());
  for (int u : unit) {
    const float* row = from.near + (size_t)t * from.rows + u * kUnitRows;
    add(u * kUnitRows + (int)(std::max_element(row, row + std::min(kUnitRows, below - u * kUnitRows)) - row));
  }
  return all;
}

// A second look reads a row's low halves and its tile's scales, which lie anywhere: asked for this many rows ahead, it
// waits for none of them.
constexpr size_t kRowsAhead = 8;
void ask_for_row(const PackedView& w, int row) {
  const uint8_t *low = w.low(row), *scales = w.tile(row / kRows) + w.scales_at;
  for (int at = 0; at < w.cols / 2; at += 64) __builtin_prefetch(low + at);
  for (int at = 0; at < w.groups() * scale_bytes(w.scales); at += 64) __builtin_prefetch(scales + at);
}

// What the product of a row with one token may exceed its scan's by.
struct Room {
  const PackedView& w;
  float rest, slack;   // of the token, per norm of what was left out of the row and of the row

  Room(const PackedView& w, const Query& q, int t) : w(w), rest((float)(q.rest_norm[t] * (1 + 1e-6))), slack((float)(q.slack[t] * (1 + 1e-6))) {}

  // For any row of a unit. What slack takes is the same for a unit's rows: they have the largest norm among them.
  float of_unit(int unit) const {
    const int tile = unit * kUnitTiles, next = std::min(tile + 1, w.tiles() - 1);
    return std::max(w.tile_bounds()[tile], w.tile_bounds()[next]) * rest + slack_of(unit);
  }
  float slack_of(int unit) const {
    const int tile = unit * kUnitTiles, next = std::min(tile + 1, w.tiles() - 1);
    return std::max(w.tile_norms()[tile], w.tile_norms()[next]) * slack;
  }
};

// Calls use(row, slack) for each row of the units first..last that may reach `limit` with token t: every `stride`th unit.
template <class F>
void within_reach(const PackedView& w, const Query& q, int t, const Scan& s, float limit, int below, int first, int last, int stride, F use) {
  const Room room(w, q, t);
  for (int unit = first; unit < last; unit += stride) {
    if (s.best[(size_t)t * s.units + unit] + room.of_unit(unit) < limit) continue;   // a NaN goes on
    const float slack = room.slack_of(unit);
    for (int row = unit * kUnitRows, end = std::min(row + kUnitRows, below); row < end; ++row)
      if (!(s.near[(size_t)t * s.rows + row] + (w.bounds()[row] * room.rest + slack) < limit)) use(row, slack);
  }
}

constexpr int kWorthCounting = 4096;   // rows; of fewer, either way takes no time
constexpr int kCounted = 16;           // of so many units one is counted

// The tokens for which all products are cheaper than looking again at every row within reach of their limits.
// A second look takes about 100 ns a row, all products of n tokens about 16 + 3 n ns a row (two Zen 5 threads).
std::vector<int> by_all_products(const PackedView& w, const Query& q, const std::vector<float>& limit, const Scan& s, int below) {
  const int tokens = q.view.tokens;
  std::vector<std::pair<double, int>> looks(tokens);   // ns, largest first
  if (s.rows < kWorthCounting) return {};
  parallel_for(tokens, 1, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) {
      int64_t rows = 0;
      within_reach(w, q, t, s, limit[t], below, 0, s.units, kCounted, [&](int, float) { ++rows; });
      looks[t] = {100.0 * kCounted * (double)rows, t};
    }
  });
  std::sort(looks.begin(), looks.end(), std::greater<>());
  double saved = 0, most = 0;
  int best = 0;   // so many of the costliest
  for (int n = 1; n <= tokens; ++n) {
    saved += looks[n - 1].first;
    double gain = saved - (double)s.rows * (16 + 3 * n);
    if (gain > most) { most = gain; best = n; }
  }
  std::vector<int> chosen(best);
  for (int i = 0; i < best; ++i) chosen[i] = looks[i].second;
  return chosen;
}

// all: room for [tokens, w.rows].
void by_full_product(const Kernels& run, const float* x, int tokens, const PackedView& w, int k, int below, float* all, int* at, float* value) {
  linear(x, tokens, w.cols, {&w}, true, {all});
  parallel_for(tokens, 1, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) {
      const float* row = all + (size_t)t * w.rows;
      run.top_k(row, below, k, value + (size_t)t * k, at + (size_t)t * k);
      if (run.argmax(row, below) >= 0) continue;
      std::fill(value + (size_t)t * k, value + (size_t)(t + 1) * k, std::numeric_limits<float>::quiet_NaN());   // something is not finite
      std::fill(at + (size_t)t * k, at + (size_t)(t + 1) * k, 0);
    }
  });
}

constexpr int kProducts = 514;    // thread_scratch number of the caller's own use
constexpr int kMostTokens = 32;   // at once: the products of their scan are 1 MB each for Gemma's vocabulary

void largest_of_few(const Kernels& run, const float* x, int tokens, const PackedView& w, int k, int below, int* at, float* value) {
  const Query q = query_of(run, x, tokens, w);
  Scan s{};
  s.units = (below + kUnitRows - 1) / kUnitRows;
  s.rows = s.units * kUnitRows;
  s.near = (float*)thread_scratch(kProducts, (size_t)tokens * (s.rows + s.units) * sizeof(float));
  s.best = s.near + (size_t)tokens * s.rows;
  scan(run, w, q, below, s);

  std::vector<std::vector<Found>> found(tokens);
  std::vector<float> limit(tokens);
  parallel_for(tokens, 1, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) {
      found[t] = seeds(run, w, q, t, k, below, s);
      std::nth_element(found[t].begin(), found[t].begin() + (k - 1), found[t].end());
      limit[t] = found[t][k - 1].value;
    }
  });

  const std::vector<int> costly = by_all_products(w, q, limit, s, below);
  std::vector<bool> later(tokens, false);
  for (int t : costly) later[t] = true;

  struct Again { int row; float slack; };
  constexpr int kPieces = 16;   // of the units, for each token
  std::vector<std::vector<Found>> collected((size_t)tokens * kPieces);
  parallel_for(tokens * kPieces, 1, [&](int begin, int end, int thread) {
    for (int piece = begin; piece < end; ++piece) {
      const int t = piece / kPieces, first = (int)((int64_t)s.units * (piece % kPieces) / kPieces), last = (int)((int64_t)s.units * (piece % kPieces + 1) / kPieces);
      if (later[t]) continue;
      Again* again = (Again*)thread_scratch(thread, (size_t)(last - first) * kUnitRows * sizeof(Again));
      size_t count = 0;
      within_reach(w, q, t, s, limit[t], below, first, last, 1, [&](int row, float slack) { again[count++] = {row, slack}; });
      for (size_t i = 0; i < count; ++i) {
        if (i + kRowsAhead < count) ask_for_row(w, again[i + kRowsAhead].row);
        const int row = again[i].row;
        if (s.near[(size_t)t * s.rows + row] + run.head_refine(w, row, q.view, t) + again[i].slack < limit[t]) continue;
        float exact = run.head_exact(w, row, q.view, t);
        if (!(exact < limit[t]) || !std::isfinite(exact)) collected[piece].push_back({exact, row});
      }
    }
  });

  for (int t = 0; t < tokens; ++t) {
    if (later[t]) continue;
    std::vector<Found> all;
    for (int piece = 0; piece < kPieces; ++piece) all.insert(all.end(), collected[(size_t)t * kPieces + piece].begin(), collected[(size_t)t * kPieces + piece].end());
    bool finite = q.good[t] && std::isfinite(limit[t]) && (int)all.size() >= k;
    for (const Found& f : all) finite = finite && std::isfinite(f.value);
    if (finite) std::partial_sort(all.begin(), all.begin() + k, all.end());
    for (int i = 0; i < k; ++i) {
      at[(size_t)t * k + i] = finite ? all[i].row : 0;
      value[(size_t)t * k + i] = finite ? all[i].value : std::numeric_limits<float>::quiet_NaN();
    }
  }

  if (costly.empty()) return;
  const size_t n = costly.size();   // the products of the scan have served: theirs take the same place
  float* all = (float*)thread_scratch(kProducts, n * w.rows * sizeof(float));
  std::vector<float> rows(n * w.cols), values(n * k);
  std::vector<int> ids(n * k);
  for (size_t i = 0; i < n; ++i) std::copy_n(x + (size_t)costly[i] * w.cols, w.cols, rows.data() + i * w.cols);
  by_full_product(run, rows.data(), (int)n, w, k, below, all, ids.data(), values.data());
  for (size_t i = 0; i < n; ++i) {
    std::copy_n(ids.data() + i * k, k, at + (size_t)costly[i] * k);
    std::copy_n(values.data() + i * k, k, value + (size_t)costly[i] * k);
  }
}

}  // namespace

void largest(const float* x, int tokens, const PackedView& w, int k, int below, int* at, float* value) {
  static std::mutex gate;   // the products of the scan are one scratch area: one call at a time
  std::lock_guard<std::mutex> hold(gate);
  for (int t = 0; t < tokens; t += kMostTokens)
    largest_of_few(kernels(), x + (size_t)t * w.cols, std::min(kMostTokens, tokens - t), w, k, below, at + (size_t)t * k, value + (size_t)t * k);
}

}  // namespace gw
