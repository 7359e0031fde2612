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
      {Type::iq4_nl, "IQ4_NL", {0}}, {Type::iq4_xs, "IQ4_XS", {0}}, {Type::q8_0_split, "Q8_0 split", {0}},
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
  m.memory = exactly<uint8_t>(m.view.bytes);
  m.view.data = m.memory.get();
  if (info.codes == Codes::split) std::memcpy(m.memory.get() + m.view.columns_at, exact_columns(m.view.groups()).data(), (size_t)m.view.groups() * kExact * 4);
  auto file = exact_copy(data);
  size_t row_bytes = data.size() / rows;
  for (int tile = 0; tile < m.view.tiles(); ++tile) {
    int first = tile * kRows;
    pack_tile(type.type, file.get() + first * row_bytes, row_bytes, m.view, tile, std::min(kRows, rows - first));
  }
  return m;
}

std::vector<int32_t> exact_columns(int groups) {
  std::vector<int32_t> columns;
  for (int g = 0; g < groups; ++g)
    for (int i = 0; i < kExact; ++i) columns.push_back(g * kGroup + 4 * i + g % 4);
  return columns;
}

std::vector<float> random_activations(int tokens, int cols, Random& random) {
  std::vector<float> x = random.normals((size_t)tokens * cols);
  for (int large = 0; large < 6; ++large) {
    int column = random.below(cols);
    for (int t = 0; t < tokens; ++t) x[(size_t)t * cols + column] *= 40.0f;
  }
  return x;
}

Quantised::Quantised(const Kernels& run, const std::vector<float>& x, int cols, bool wide) : view{}, planes(run.planes) {
  const int tokens = (int)x.size() / cols;
  const size_t groups = x.size() / kGroup, kept = wide ? 0 : (size_t)tokens * outliers(cols);
  view.tokens = tokens, view.cols = cols, view.groups = cols / kGroup, view.wide = wide, view.outliers = wide ? 0 : outliers(cols);
  codes = exactly<int8_t>(tokens * view.row_bytes());
  scale = exactly<float>(groups);
  sums = exactly<int32_t>(2 * groups);
  outlier = exactly<float>(kept);
  outlier_at = exactly<int32_t>(kept);
  view.codes = codes.get(), view.scale = scale.get(), view.sums = sums.get();
  view.outlier = outlier.get(), view.outlier_at = outlier_at.get();
  auto scratch = exactly<uint8_t>(quantise_scratch(cols));
  for (int t = 0; t < tokens; ++t) {
    std::vector<float> row(x.begin() + (size_t)t * cols, x.begin() + (size_t)(t + 1) * cols);
    run.quantise(exact_copy(row).get(), view, t, scratch.get());
  }
}

int Quantised::code(int token, int column) const {
  const int8_t* row = codes.get() + token * view.row_bytes();
  if (!view.wide) return row[column];
  if (planes) return 256 * row[column] + row[view.cols + column];
  int16_t code;
  std::memcpy(&code, row + 2 * column, 2);
  return code;
}

float Quantised::value(int token, int column) const {
  for (int j = token * view.outliers; j < (token + 1) * view.outliers; ++j)
    if (outlier_at[j] == column) return outlier[j];
  return (float)code(token, column) * scale[((size_t)token * view.cols + column) / kGroup];
}

}  // namespace gw::testing
