// Random tensors of every stored type, packed, in memory of exactly their size; activations for them.
#pragma once
#include "../core/pack.h"
#include "check.h"

namespace gw::testing {

struct StoredType {
  Type type;
  const char* name;
  std::vector<int> halfs;   // offsets of the float16 numbers of a block; empty for types without blocks
};
const std::vector<StoredType>& stored_types();

// The bytes of a [rows, cols] tensor. is_extreme: in each block all code bits are set or clear, which is where integers
// overflow.
std::vector<uint8_t> random_tensor(const StoredType& type, int rows, int cols, Random& random, bool is_extreme = false);

// A packed matrix in memory of its own.
struct Matrix {
  PackedView view;
  std::unique_ptr<uint8_t[]> memory;
};
// Of a split matrix, the columns 4i + g % 4 of group g are exact.
Matrix packed(const StoredType& type, const std::vector<uint8_t>& data, int rows, int cols);
std::vector<int32_t> exact_columns(int groups);

// Like a transformer's: most channels small, a few very large.
std::vector<float> random_activations(int tokens, int cols, Random& random);

// Quantised activations in arrays of exactly their sizes.
struct Quantised {
  Activations view;
  std::unique_ptr<int8_t[]> codes;
  std::unique_ptr<float[]> scale, outlier;
  std::unique_ptr<int32_t[]> sums, outlier_at;
  bool planes;

  Quantised(const Kernels& run, const std::vector<float>& x, int cols, bool wide);
  int code(int token, int column) const;
  float value(int token, int column) const;   // what the kernels see
};

}  // namespace gw::testing
