// The table of kernels that each CPU target fills. All pointers are to contiguous memory; no kernel allocates, throws,
// or reads a global. Outputs may not alias inputs unless a line says so.
#pragma once
#include "packed.h"

namespace gw {

// One step's activations [tokens, cols], quantised token by token in groups of 32 columns.
// int8 path: the kOutliers channels of largest magnitude of a token are left out of `q8` (zero there) and kept exact.
// int16 path: every channel is in `q16`; no outliers.
struct Activations {
  int tokens, cols, groups;
  int8_t* q8;            // [tokens, cols], or null
  int16_t* q16;          // [tokens, cols], or null
  float* scale;          // [tokens, groups]
  int32_t* sums;         // [tokens, 2 groups]: sum of the codes of each half group
  int32_t* outlier_at;   // [tokens, kOutliers], ascending columns
  float* outlier;        // [tokens, kOutliers]
};

// A range of one layer's cache as attention sees it: pages of kPage tokens. Keys lie dimension by dimension in two halves
// of 16 tokens, so that lanes are tokens; values lie token by token in slices of 16 dimensions (the last one padded).
constexpr int kPage = 32;
constexpr int kSpan = 256;  // keys whose softmax is one partial result; spans start at multiples of it
struct AttendBlock {
  const float* q;          // first query row; row (t, h) lies at q + t * q_token_stride + h * head_dim
  int64_t q_token_stride;
  const float* k;          // [page, kv_heads, 2, head_dim, 16]
  const float* v;          // [page, kv_heads, ceil(head_dim / 16), kPage, 16]
  const int32_t* table;    // logical page -> page, indexed modulo `ring`
  int ring;
  int kv_heads, kv_head, head_dim, heads;   // `heads` query heads share this kv head
  int tokens;              // query tokens of this block, consecutive positions
  int position;            // of the first
  int window;              // keys a query sees, itself included; 0: all
  float scale, softcap;    // softcap 0: none
};

struct Kernels {
  const char* name;
  // y = x / sqrt(mean(x^2) + eps) * scale.   x, y, scale: [n].  y may be x.   arXiv:1910.07467
  void (*rms_norm)(const float* x, const float* scale, float* y, int n, float eps);
  // Turns each pair (i, i + n/2) of every head by its angle.  x, y: [heads, n]; table: n/2 cosines, then n/2 sines.  y may be x.
  void (*rope)(const float* x, const float* table, float* y, int heads, int n);
  // y = gelu_tanh(gate) * up.  [n].  y may be either input.
  void (*geglu)(const float* gate, const float* up, float* y, int n);
  // y = a + b.  [n].  y may be either input.
  void (*add)(const float* a, const float* b, float* y, int n);
  // Fills row `token` of `out` from x[cols]; int8 when out.q8 is set, otherwise int16.
  void (*quantise)(const float* x, const Activations& out, int token);
  // y[t, 16 tile .. + 16] = W[tile] . x[t] for tokens begin..end.  y: [tokens, ld].  scratch: cols * 16 bytes.
  void (*linear_quantised)(const PackedView& w, int tile, const Activations& x, int begin, int end, float* y, int64_t ld, uint8_t* scratch);
  void (*linear_float)(const PackedView& w, int tile, const float* x, int begin, int end, float* y, int64_t ld);
  // Keys span_first..span_first+kSpan for all query rows: unnormalised output, running maximum and sum per row.
  // out: [rows, head_dim], max/sum: [rows]; rows = tokens * heads, a row that sees no key gets max -inf.
  // scratch: rows * (head_dim + kPage + 1) floats.
  void (*attend_span)(const AttendBlock& b, int span_first, float* out, float* max, float* sum, float* scratch);
  // Folds a partial result into the running one, row by row: both as attend_span leaves them.
  void (*attend_merge)(float* out, float* max, float* sum, const float* part, const float* part_max, const float* part_sum, int rows, int head_dim);
  // y[i] = x[i] * factor.
  void (*scale)(const float* x, float factor, float* y, int n);
  // Index of the largest value, the lowest one among equals; -1 if any value is NaN or infinite.
  int (*argmax)(const float* x, int n);
  // The k largest values, largest first (the lowest index first among equals), and where they are.  1 <= k <= n.
  void (*top_k)(const float* x, int n, int k, float* value, int* at);
  // log(sum(exp(x))), accumulated in 16 lanes.
  float (*log_sum_exp)(const float* x, int n);
};

// One table for each target; which of them are built depends on the architecture (CMakeLists.txt).
const Kernels& kernels_scalar();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512vnni();
const Kernels& kernels_neon();
const Kernels& kernels_neondot();
const Kernels& kernels_neoni8mm();

}  // namespace gw
