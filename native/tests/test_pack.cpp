// Packing: sizes to the byte, parts in any order, types that do not exist.
#include <cmath>
#include <cstring>

#include "../core/ops.h"
#include "../core/pool.h"
#include "tensors.h"

using namespace gw;
using namespace gw::testing;

namespace {

std::vector<float> rows_of(const PackedView& w) {
  std::vector<float> all((size_t)w.rows * w.cols);
  auto row = exactly<float>(w.cols);
  for (int r = 0; r < w.rows; ++r) {
    unpack_row(w, r, row.get());
    std::memcpy(&all[(size_t)r * w.cols], row.get(), w.cols * sizeof(float));
  }
  return all;
}

}  // namespace

TEST("a matrix packed in parts is the matrix packed at once") {
  Random random(51);
  set_threads(3);
  for (const StoredType& type : stored_types())
    for (int rows : {1, 16, 40}) {
      int cols = 256;
      auto data = random_tensor(type, rows, cols, random);
      Matrix once = packed(type, data, rows, cols);
      Packed parts((int)type.type, rows, cols);
      if (once.view.codes == Codes::split) parts.choose(exact_columns(cols / kGroup).data());
      check(parts.row_bytes() * rows == data.size(), std::string(type.name) + ": another size of rows than the file's");
      for (int first = 0; first < rows; first += 16) {
        int count = std::min(16, rows - first);
        auto at = data.begin() + first * parts.row_bytes();
        std::vector<uint8_t> part(at, at + count * parts.row_bytes());
        parts.fill(exact_copy(part).get(), first, count);
      }
      check(!std::memcmp(parts.view().data, once.view.data, parts.bytes()), std::string(type.name) + ": other bytes");
      check_same_bits(rows_of(parts.view()), rows_of(once.view), type.name);
    }
}

TEST("a stored number of the simple types is the one its bytes say") {
  Random random(52);
  for (int t : {0, 2}) {   // F32, BF16
    const StoredType& type = stored_types()[t];
    auto data = random_tensor(type, 3, 20, random);
    std::vector<float> got = rows_of(packed(type, data, 3, 20).view), expected(60, 0.0f);
    size_t bytes = data.size() / 60;
    for (size_t i = 0; i < 60; ++i) std::memcpy((char*)&expected[i] + 4 - bytes, &data[i * bytes], bytes);
    check_same_bits(got, expected, type.name);
  }
  const StoredType& q8_0 = stored_types()[7];
  auto data = random_tensor(q8_0, 1, 32, random);
  data[0] = 0x00, data[1] = 0x38;   // 0.5
  std::vector<float> expected(32);
  for (int i = 0; i < 32; ++i) expected[i] = 0.5f * (float)(int8_t)data[2 + i];
  check_same_bits(rows_of(packed(q8_0, data, 1, 32).view), expected, "Q8_0");
}

TEST("every float16 is unpacked to the number it stands for") {
  std::vector<uint8_t> data(65536 * 2);
  for (int h = 0; h < 65536; ++h) { data[2 * h] = h & 255; data[2 * h + 1] = h >> 8; }
  std::vector<float> expected(65536), got = rows_of(packed(stored_types()[1], data, 16, 4096).view);
  for (int h = 0; h < 65536; ++h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    float size = exponent == 0 ? std::ldexp((float)fraction, -24) : std::ldexp(1024.0f + fraction, exponent - 25);
    if (exponent == 31) size = fraction ? NAN : INFINITY;
    expected[h] = h & 0x8000 ? -size : size;
  }
  check_same_bits(got, expected, "F16");
}

TEST("exact columns that are not columns of their groups are refused") {
  Random random(53);
  const StoredType& split = stored_types().back();
  Matrix w = packed(split, random_tensor(split, 16, 64, random), 16, 64);
  Packed over((int)split.type, 16, 64, w.view.data);
  check(over.bytes() == w.view.bytes && !over.owns(), "another size, or owned");
  for (int32_t wrong : {-1, 0, 31, 64, 1 << 30}) {   // for the second group: outside, or not ascending
    std::memcpy(w.memory.get() + w.view.columns_at + 4 * (kExact + 3), &wrong, 4);
    check_refused([&] { Packed((int)split.type, 16, 64, w.view.data); }, "not columns of their groups");
  }
}

TEST("a type that cannot be packed is refused by its number") {
  for (int type : {-1, 4, 5, 9, 15, 16, 24, 31, 77, 1 << 30})
    check_refused([&] { Packed(type, 16, 256); }, "tensor type " + std::to_string(type));
}
