// The operations on whole arrays: they spread rows, tiles and heads over the thread pool and call the active kernels.
// Shapes are checked by the callers (bindings.cpp); see core/kernels.h for formulas.
#pragma once
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace gw {

// A matrix in tiles, in memory of its own or over somebody else's.
class Packed {
 public:
  // Room for rows * cols values of ggml type `type`; zeros until they are filled in.
  Packed(int type, int rows, int cols);
  // One that was packed before. data: bytes() of tiles aligned to 64; the caller keeps them, they are only read.
  Packed(int type, int rows, int cols, const uint8_t* data);
  // What bytes() of such a matrix would be.
  static size_t bytes_of(int type, int rows, int cols);
  // Packs `rows` rows from `first` on, a whole number of tiles or all that is left. data: row by row, without padding.
  // False if there are numbers among them that are not finite.
  bool fill(const uint8_t* data, int first, int rows);
  // Of a split matrix, before it is filled: which columns are exact, kExact of each group, ascending. [groups * kExact]
  void choose(const int32_t* columns);
  const PackedView& view() const { return view_; }
  size_t bytes() const { return view_.bytes; }
  size_t row_bytes() const;   // of a row as files store it
  bool owns() const { return memory_ != nullptr; }   // else it cannot be filled

 private:
  int type_;
  PackedView view_;
  Block memory_;
};

// out[i] = x @ W[i]^T, all from one quantisation of x.  x: [tokens, cols]; out[i]: [tokens, W[i].rows].
void linear(const float* x, int tokens, int cols, const std::vector<const PackedView*>& w, bool wide, const std::vector<float*>& out);
// gelu(x @ gate^T) * (x @ up^T), all from one quantisation of x.  gate and up have the same shape; out: [tokens, gate.rows].
void linear_geglu(const float* x, int tokens, int cols, const PackedView& gate, const PackedView& up, bool wide, float* out);
// The k largest of each row of x @ W^T among the columns below `below`, bit for bit what linear with int16 activations
// gives, largest first and the lowest index first among equals: at, value [tokens, k].  W: a split matrix.  A token whose
// products are not all finite gets NaN.  1 <= k <= below <= W.rows.
void largest(const float* x, int tokens, const PackedView& w, int k, int below, int* at, float* value);
void embed(const PackedView& table, const int* tokens, int count, float factor, float* out);
void rms_norm(const float* x, int rows, int n, const float* scale, float eps, float* out);
// Only the first `turned` of the n / 2 pairs have an angle; the others have 0.
void rope_table(const int* positions, int tokens, int n, double base, double stretch, int turned, float* out);
void rope(const float* x, int tokens, int heads, int n, const float* table, float* out);
// Each head's rms_norm, then its rotation.  x, out: [tokens, heads, n]; scale: [n]; table: [tokens, n].
void norm_rope(const float* x, int tokens, int heads, int n, const float* scale, float eps, const float* table, float* out);
// sum = x + rms_norm(y, scale); normed = rms_norm(sum, next).  All [rows, n].
void add_norm(const float* x, const float* y, int rows, int n, const float* scale, const float* next, float eps, float* sum, float* normed);
void geglu(const float* gate, const float* up, int rows, int n, float* out);
void add(const float* a, const float* b, int rows, int n, float* out);
void softcap(const float* x, float cap, int rows, int n, float* out);
void mean_square(const float* x, int rows, int n, float* out);   // out: [rows]
void softmax(const float* x, int rows, int n, float* out);
void sparsify(const float* x, float deviations, int rows, int n, float* out);
// out[t, i] = sum over j of factor[t, i, j] x[t, j].  x: [tokens, from, n]; factor: [tokens, to, from]; out: [tokens, to, n].
void mix(const float* x, const float* factor, int tokens, int from, int to, int n, float* out);
// out[t, i] = x[t, i] + factor[t, i] d[t].  x, out: [tokens, streams, n]; factor: [tokens, streams]; d: [tokens, n].
void spread(const float* x, const float* factor, const float* d, int tokens, int streams, int n, float* out);

// The cache of one layer: pages of kPage tokens. table: [slots, ring] page numbers; logical page p of a slot is
// table[slot][p % ring].
struct LayerCache {
  KvFormat format;
  uint8_t* k;   // [pages, kv_heads, key_page_bytes]
  uint8_t* v;   // [pages, kv_heads, value_page_bytes]
  const int* table;
  int ring, kv_heads, head_dim;
};
void cache_write(const LayerCache& cache, const float* k, const float* v, const int* slots, const int* positions, int tokens);
// reach: [tokens], the last position each token sees; null: its own.
void attend(const LayerCache& cache, const float* q, const int* slots, const int* positions, const int* reach, int tokens, int heads, float scale, int window, float softcap, float* out);

}  // namespace gw
