#include "tensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gw::testing {

namespace {

// A positive float16 of about 0.004 to 0.06: exponents 7 to 10, any fraction.
uint16_t random_half(Random& random) { return (uint16_t)((7 + random.below(4)) << 10 | random.below(1024)); }

void fill_float(Type type, float value, uint8_t* to) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (type == Type::bf16) bits >>= 16;
  std::memcpy(to, &bits, type == Type::f32 ? 4 : 2);
}

}  // namespace

const std::vector<StoredType>& stored_types() {
  static const std::vector<StoredType> all = {
      {Type::f32, "F32", {}}, {Type::f16, "F16", {}}, {Type::bf16, "BF16", {}},
      {Type::q4_0, "Q4_0", {0}}, {Type::q4_1, "Q4_1", {0, 2}}, {Type::q5_0, "Q5_0", {0}}, {Type::q5_1, "Q5_1", {0, 2}},
      {Type::q8_0, "Q8_0", {0}}, {Type::q2_k, "Q2_K", {80, 82}}, {Type::q3_k, "Q3_K", {108}},
      {Type::q4_k, "Q4_K", {0, 2}}, {Type::q5_k, "Q5_K", {0, 2}}, {Type::q6_k, "Q6_K", {208}},
      {Type::iq4_nl, "IQ4_NL", {0}}, {Type::iq4_xs, "IQ4_XS", {0}},
  };
  return all;
}

std::vector<uint8_t> random_tensor(const StoredType& type, int rows, int cols, Random& random, bool is_extreme) {
  TypeInfo info = type_info((int)type.type);
  size_t blocks = (size_t)rows * cols / info.block_values, bytes = info.block_bytes;
  std::vector<uint8_t> data(blocks * bytes);
  for (size_t i = 0; i < blocks; ++i) {
    uint8_t* block = data.data() + i * bytes;
    if (type.type == Type::f16) {
      uint16_t half = random_half(random) | (random.below(2) << 15);
      std::memcpy(block, &half, 2);
    } else if (type.halfs.empty()) {
      fill_float(type.type, random.normal(), block);
    } else {
      uint8_t all = random.below(2) ? 255 : 0;
      for (size_t b = 0; b < bytes; ++b) block[b] = is_extreme ? all : (uint8_t)random.below(256);
      for (int offset : type.halfs) {
        uint16_t half = random_half(random);
        std::memcpy(block + offset, &half, 2);
      }
    }
  }
  return data;
}

Matrix packed(const StoredType& type, const std::vector<uint8_t>& data, int rows, int cols) {
  TypeInfo info = type_info((int)type.type);
  Matrix m{packed_shape(rows, cols, info.codes, info.scales), nullptr};
  m.memory = exactly<uint8_t>(m.view.tile_bytes * m.view.tiles());
  m.view.data = m.memory.get();
  auto file = exact_copy(data);
  size_t row_bytes = data.size() / rows;
  for (int tile = 0; tile < m.view.tiles(); ++tile) {
    int first = tile * kRows;
    pack_tile(type.type, file.get() + first * row_bytes, row_bytes, m.view, tile, std::min(kRows, rows - first));
  }
  return m;
}

std::vector<float> random_activations(int tokens, int cols, Random& random) {
  std::vector<float> x = random.normals((size_t)tokens * cols);
  for (int large = 0; large < 6; ++large) {
    int column = random.below(cols);
    for (int t = 0; t < tokens; ++t) x[(size_t)t * cols + column] *= 40.0f;
  }
  return x;
}

Quantised::Quantised(int tokens, int cols, bool wide) {
  size_t values = (size_t)tokens * cols, groups = values / kGroup, outliers = (size_t)tokens * kOutliers;
  if (wide) q16 = exactly<int16_t>(values);
  else q8 = exactly<int8_t>(values);
  scale = exactly<float>(groups);
  sums = exactly<int32_t>(2 * groups);
  outlier = exactly<float>(outliers);
  outlier_at = exactly<int32_t>(outliers);
  view = {tokens, cols, cols / kGroup, q8.get(), q16.get(), scale.get(), sums.get(), outlier_at.get(), outlier.get()};
}

float Quantised::value(int token, int column) const {
  for (int j = 0; q8 && j < kOutliers; ++j)
    if (outlier_at[token * kOutliers + j] == column) return outlier[token * kOutliers + j];
  size_t at = (size_t)token * view.cols + column;
  return (float)(q8 ? q8[at] : q16[at]) * scale[at / kGroup];
}

}  // namespace gw::testing
