// From tensors as files store them to tiles, and back to floats.
#pragma once
#include "packed.h"

namespace gw {

// ggml's numbers for the tensor types we read.
enum class Type : int {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13,
  q6_k = 14, iq4_nl = 20, iq4_xs = 23, bf16 = 30,
  q8_0_split = 1008,   // of our own: q8_0 as files store it, packed as a split matrix
};

struct TypeInfo {
  int block_values, block_bytes;
  Codes codes;
  Scales scales;
};
// Throws std::invalid_argument for a type that is not in the list.
TypeInfo type_info(int type);

// Fills the first `rows` rows of tile `tile` of `to` (writable memory at to.data) from as many of `row_bytes` each.
// False if a scale, or a value of a float type, is NaN or infinite.
bool pack_tile(Type type, const uint8_t* from, size_t row_bytes, const PackedView& to, int tile, int rows);
// The values of one row: exactly what the file's format defines, as float32.
void unpack_row(const PackedView& from, int row, float* to);

}  // namespace gw
