// The table of kernels that each CPU target fills. All pointers are to contiguous memory; no kernel allocates, throws,
// or reads a global. Outputs may not alias inputs unless a line says so.
#pragma once
#include "packed.h"

namespace gw {

constexpr int kFewTokens = 16;   // so many are multiplied straight from packed codes; more are worth preparing tiles for
constexpr int kStartTables = 5;
constexpr int start_table(Codes c, Scales s) { return c == Codes::u4 ? 0 : c == Codes::u5 ? 1 : c == Codes::u6 ? 4 : has_halves(s) ? 3 : 2; }

// One step's activations [tokens, cols], quantised token by token in groups of 32 columns.
// int8 path: the `outliers` channels of largest magnitude of a token are left out of `codes` (zero there), kept exact.
// int16 path: every channel is in `codes`, in a form of the target's own; no outliers.
struct Activations {
  int tokens, cols, groups;
  bool wide;             // int16
  int outliers;          // channels of a token kept in float; 0 when wide
  int8_t* codes;         // [tokens, cols] int8, or as many bytes twice
  float* scale;          // [tokens, groups]
  int32_t* sums;         // [tokens, 2 groups]: sum of the codes of each half group
  int32_t* outlier_at;   // [tokens, outliers], ascending columns
  float* outlier;        // [tokens, outliers]
  // Of few tokens: what their integer sums start from where 8, 16 or 128 is taken off every code, [tokens, groups], and
  // 128 or 32 for half groups, [tokens, 2 groups]; what minima are multiplied by, for groups and for half groups.
  int32_t* start[kStartTables];
  float* offset[2];
  // Where many tokens are multiplied together, the distinct outlier columns of each chunk of tokens and panel of columns.
  int chunk;             // tokens of a chunk
  int32_t* column;       // [chunks, cols]: those of panel p from p * kPanel on
  int32_t* columns;      // [chunks, panels]: how many
  int32_t* outlier_slot; // [tokens, outliers]: which of its panel's columns

  GW_INLINE size_t row_bytes() const { return (size_t)cols * (wide ? 2 : 1); }
  GW_INLINE bool few() const { return tokens <= kFewTokens; }
  GW_INLINE int panels() const { return (groups + kPanelGroups - 1) / kPanelGroups; }
};

// What the head's kernels need of some tokens' hidden states, quantised to int16 codes (core/head.cpp).
struct HeadQuery {
  int tokens, cols, groups;
  const int16_t* code;       // [tokens, cols]
  const float* wide_scale;   // [tokens, groups], of `code`
  const int8_t* high;        // [groups, tokens, kGroup]: the codes rounded to bytes, code / 256
  const int8_t* exact;       // [groups, tokens, kExact]: those of the exact columns
  const int8_t* rest;        // [tokens, cols]: those of the others, the exact ones 0
  const float* scale;        // [groups, tokens], of the bytes
  const int32_t* start;      // [groups, tokens]: -120 sum(high) - 8 sum(exact)
  const int32_t* rest_start; // [groups, tokens]: -8 sum(rest)
};

// How keys and values are kept. i8 has a scale per token and head.
enum class KvFormat : int { f32 = 0, f16 = 1, i8 = 2 };
constexpr int kPage = 32;   // tokens of a page
constexpr int kSpan = 256;  // keys whose softmax is one partial result; spans start at multiples of it

constexpr int kv_bytes(KvFormat f) { return f == KvFormat::f32 ? 4 : f == KvFormat::f16 ? 2 : 1; }
// Keys lie dimension by dimension in two halves of 16 tokens, so that lanes are tokens: [2, head_dim, 16]. Values lie
// token by token in slices of 16 dimensions, the last one padded: [ceil(head_dim / 16), kPage, 16]. Then, for i8, 32 floats.
constexpr size_t key_page_bytes(KvFormat f, int head_dim) {
  return (size_t)kPage * head_dim * kv_bytes(f) + (f == KvFormat::i8 ? kPage * 4 : 0);
}
constexpr size_t value_page_bytes(KvFormat f, int head_dim) { return key_page_bytes(f, (head_dim + 15) / 16 * 16); }

// A range of one layer's cache as attention sees it.
struct AttendBlock {
  const float* q;          // first query row; row (t, h) lies at q + t * q_token_stride + h * head_dim
  int64_t q_token_stride;
  KvFormat format;
  const uint8_t* k;        // [page, kv_heads, key page]
  const uint8_t* v;        // [page, kv_heads, value page]
  const int32_t* table;    // logical page -> page, indexed modulo `ring`
  int ring;
  int kv_heads, kv_head, head_dim, heads;   // `heads` query heads share this kv head
  int tokens;              // query tokens of this block, consecutive positions
  int position;            // of the first
  const int32_t* reach;    // [tokens]: the last position each sees, at least its own
  int furthest;            // the largest of them
  int window;              // a query sees no key this far before it or further; 0: no such limit
  float scale, softcap;    // softcap 0: none
};

struct Kernels {
  const char* name;
  bool planes;   // whether quantise writes int16 codes as a plane of high bytes (code = 256 high + low) and one of low ones
  // y = x / sqrt(mean(x^2) + eps) * scale.   x, y, scale: [n].  y may be x.   arXiv:1910.07467
  void (*rms_norm)(const float* x, const float* scale, float* y, int n, float eps);
  // Turns each pair (i, i + n/2) of every head by its angle.  x, y: [heads, n]; table: n/2 cosines, then n/2 sines.  y may be x.
  void (*rope)(const float* x, const float* table, float* y, int heads, int n);
  // y = gelu_tanh(gate) * up.  [n].  y may be either input.
  void (*geglu)(const float* gate, const float* up, float* y, int n);
  // y = a + b.  [n].  y may be either input.
  void (*add)(const float* a, const float* b, float* y, int n);
  // y = x + factor * d.  [n].  y may be x.
  void (*add_scaled)(const float* x, float factor, const float* d, float* y, int n);
  // y = cap * tanh(x / cap).  [n].  y may be x.
  void (*softcap)(const float* x, float cap, float* y, int n);
  // sum(x^2) / n.
  float (*mean_square)(const float* x, int n);
  // y = exp(x) / sum(exp(x)).  [n].
  void (*softmax)(const float* x, float* y, int n);
  // y = max(x - mean(x) - deviations * std(x), 0), the standard deviation being that of all n values.  [n].  arXiv:2506.06644
  void (*sparsify)(const float* x, float deviations, float* y, int n);
  // Fills row `token` of `out` from x[cols]: codes, scale, sums, and outliers unless wide.
  // scratch: quantise_scratch(cols) bytes, aligned to 64.
  void (*quantise)(const float* x, const Activations& out, int token, uint8_t* scratch);
  // y[t, rows of the tiles] = W . x[t] for tokens begin..end of one chunk.  y: [tokens, ld].
  // scratch: linear_scratch(end - begin) bytes, aligned to 64.
  void (*linear_quantised)(const PackedView& w, int first_tile, int tiles, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch);
  void (*head_scan)(const PackedView& w, int first_tile, int tiles, const HeadQuery& q, float* near, int64_t near_ld, float* best, int64_t best_ld, uint8_t* scratch);
  float (*head_refine)(const PackedView& w, int row, const HeadQuery& q, int token);
  float (*head_exact)(const PackedView& w, int row, const HeadQuery& q, int token);
  void (*linear_float)(const PackedView& w, int tile, const float* x, int begin, int end, float* y, int64_t ld);
  // Keys span_first..span_first+kSpan for all query rows: unnormalised output, running maximum and sum per row.
  // out: [rows, head_dim], max/sum: [rows]; rows = tokens * heads, a row that sees no key gets max -inf.
  // scratch: rows * (head_dim + kSpan) floats.
  void (*attend_span)(const AttendBlock& b, int span_first, float* out, float* max, float* sum, float* scratch);
  // Folds a partial result into the running one, row by row: both as attend_span leaves them.
  void (*attend_merge)(float* out, float* max, float* sum, const float* part, const float* part_max, const float* part_sum, int rows, int head_dim);
  void (*write_kv)(KvFormat format, uint8_t* key_page, uint8_t* value_page, int column, const float* key, const float* value, int head_dim);
  // y[i] = x[i] * factor.
  void (*scale)(const float* x, float factor, float* y, int n);
  // Index of the largest value, the lowest one among equals; -1 if any value is NaN or infinite.
  int (*argmax)(const float* x, int n);
  // The k largest values, largest first (the lowest index first among equals), and where they are.  1 <= k <= n.
  void (*top_k)(const float* x, int n, int k, float* value, int* at);
  // log(sum(exp(x))), accumulated in 16 lanes.
  float (*log_sum_exp)(const float* x, int n);
  // For benchmarks, what a thread can do at best: see kernels/probe.h.
  float (*probe_read)(const float* x, int64_t n);
  int64_t (*probe_dots)(const uint8_t* codes, const int8_t* x, int rounds);
};

// Maxima and inverse scales of the groups, outlier candidates (or copies of groups) and their columns.
constexpr size_t quantise_scratch(int cols) {
  return 4 * (2 * ((size_t)cols / kGroup + 16) + 2 * ((size_t)cols + 32) + (size_t)kMostOutliers * kGroup);
}

// Of two tiles: scales, codes in bytes, low halves of exact columns.
constexpr size_t head_scratch(int cols) { return 2 * (size_t)cols / kGroup * kRows * 4 + 2 * (size_t)cols * kRows + 2 * (size_t)cols / kGroup * kExact * kRows; }

// Of two tiles: codes, scales, minima and outlier columns of one panel; starts and minima of the tokens; running sums.
constexpr size_t linear_scratch(int tokens) {
  return 2 * (size_t)kPanel * kRows + 4 * (size_t)kPanelGroups * 2 * kRows * 4 + 2 * (size_t)kPanel * kRows * 4 +
         (size_t)tokens * (4 * kPanelGroups * 4 + 2 * kRows * 4);
}

// One table for each target; which of them are built depends on the architecture (CMakeLists.txt).
const Kernels& kernels_scalar();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512vnni();
const Kernels& kernels_neon();
const Kernels& kernels_neondot();

}  // namespace gw
