// Packed weights: how a matrix [rows, cols] lies in memory for the kernels, the same for every CPU target.
//
// Rows are taken sixteen at a time: a tile. Lane i of a vector is row i of the tile, so a dot product needs no
// horizontal sum and every row is summed in the same order whatever the target, the batch or the thread count.
//
// Quantised tiles hold, one after the other (each part aligned to 64 bytes):
//   codes   per group of 32 columns, 8 steps of 4 columns; a step is 64 bytes, four codes of each of the 16 rows
//             s8  8 x 64 bytes, signed
//             u4  4 x 64 bytes: the low nibbles are step 2i, the high ones step 2i + 1
//             u5  as u4, then 64 bytes whose bit j is the fifth bit of step j
//             u6  as u5, then 64 bytes whose bit j is the sixth bit of step j
//   scales  per group, 16 rows each:
//             one         f16 s                                       w = s (code - zero)
//             with_min    f16 s, f16 m                                w = s code + m
//             super       u8 a, u8 b      s = d a,  m = -(e b)        d, e of the super-block of 256 columns
//             halves      s8 a[2]         s = d a   per 16 columns    w = s (code - zero)
//             halves_min  u8 a[2], b[2]   s = d a,  m = -(e b) per 16 columns
//   supers  per 256 columns: f16 d, f16 e, 16 rows each
// Float tiles hold [cols][16 rows] values, nothing else.
//
// Split matrices are for output heads: the few largest products are found from half of each weight (core/head.cpp,
// docs/decisions/two-stage-head.md). Codes of 8 bits, w = s (code - 128), are 16 high + low.
//   codes   the high halves, as u4
//   scales  one
//   exact   per group, as u4 two steps: the low halves of kExact columns of the group, those of `columns`
// and after all tiles, each part aligned to 64 bytes:
//   low     row by row: per group 16 bytes, the low halves of columns i and 16 + i
//   bounds  float per row: the norm of s (low - 8) over the columns that are not exact, rounded up
//   tiles   float per tile: the largest bound of its rows, then float per tile: the largest norm of its rows
//   columns int32 per group and exact column, ascending
#pragma once
#include <cstddef>
#include <cstdint>

// Inlined into every caller: a shared copy could hold one target's instructions and run on a CPU without them.
#define GW_INLINE __attribute__((always_inline)) inline

namespace gw {

// Counts up whenever the same tensor would be packed into other bytes: files of packed matrices carry it.
constexpr int kLayoutVersion = 4;

constexpr int kRows = 16;
constexpr int kGroup = 32;
constexpr int kStep = 4;
constexpr int kSteps = kGroup / kStep;
constexpr int kStepBytes = kRows * kStep;
constexpr int kSuper = 256;
constexpr int kPanelGroups = 64;  // groups whose sum ends with the outliers among their columns (kernels/linear_quantised.h)
constexpr int kPanel = kPanelGroups * kGroup;

// Channels of each token that stay in float on the int8 path (docs/decisions/activation-precision.md).
constexpr int kMostOutliers = 32;
constexpr int outliers(int cols) { return cols < 256 ? 4 : cols < 1024 ? 8 : cols < 2048 ? 16 : kMostOutliers; }

enum class Codes : uint8_t { u4, u5, u6, s8, split, f32, f16, bf16 };
constexpr int kExact = 8;   // columns of each group of a split matrix whose low halves lie in the tile
constexpr int kExactBytes = kStepBytes;

enum class Scales : uint8_t { none, one, with_min, super, halves, halves_min };

constexpr bool is_float(Codes c) { return c >= Codes::f32; }
constexpr bool has_halves(Scales s) { return s >= Scales::halves; }
constexpr bool has_min(Scales s) { return s == Scales::with_min || s == Scales::super || s == Scales::halves_min; }
constexpr bool has_super(Scales s) { return s >= Scales::super; }
constexpr int zero_point(Codes c, Scales s) { return c == Codes::u6 ? 32 : s != Scales::one ? 0 : c == Codes::u4 ? 8 : c == Codes::u5 ? 16 : 0; }
constexpr int code_bytes(Codes c) { return c == Codes::u4 || c == Codes::split ? 256 : c == Codes::u5 ? 320 : c == Codes::u6 ? 384 : 512; }  // per group
constexpr int planes(Codes c) { return c == Codes::u5 ? 1 : c == Codes::u6 ? 2 : 0; }   // of single bits, after the nibbles
constexpr int scale_bytes(Scales s) { return s == Scales::with_min || s == Scales::halves_min ? 64 : 32; }  // per group
constexpr int float_bytes(Codes c) { return c == Codes::f32 ? 4 : 2; }

// The shape of a packed matrix and where its parts lie; `data` belongs to somebody else.
struct PackedView {
  const uint8_t* data;
  int rows, cols;
  Codes codes;
  Scales scales;
  size_t tile_bytes, scales_at, supers_at;
  size_t exact_at;                                             // in a tile, of split matrices; the rest in the matrix
  size_t low_at, bounds_at, tile_bounds_at, columns_at, bytes;

  GW_INLINE int tiles() const { return (rows + kRows - 1) / kRows; }
  GW_INLINE int groups() const { return cols / kGroup; }
  GW_INLINE const uint8_t* tile(int i) const { return data + (size_t)i * tile_bytes; }
  GW_INLINE const uint8_t* low(int row) const { return data + low_at + (size_t)row * (cols / 2); }
  GW_INLINE const float* bounds() const { return (const float*)(data + bounds_at); }
  GW_INLINE const float* tile_bounds() const { return (const float*)(data + tile_bounds_at); }
  GW_INLINE const float* tile_norms() const { return tile_bounds() + tiles(); }
  GW_INLINE const int32_t* exact_columns() const { return (const int32_t*)(data + columns_at); }
};

static constexpr size_t align64(size_t n) { return (n + 63) & ~size_t(63); }

static inline PackedView packed_shape(int rows, int cols, Codes codes, Scales scales) {
  PackedView p{nullptr, rows, cols, codes, scales, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  if (is_float(codes)) {
    p.scales_at = p.supers_at = p.tile_bytes = align64((size_t)cols * kRows * float_bytes(codes));
    p.bytes = p.tile_bytes * p.tiles();
    return p;
  }
  size_t groups = (size_t)cols / kGroup, supers = (groups + 7) / 8;
  p.scales_at = align64(groups * code_bytes(codes));
  p.supers_at = p.exact_at = p.scales_at + align64(groups * scale_bytes(scales));
  p.tile_bytes = p.supers_at + (has_super(scales) ? supers * 64 : 0) + (codes == Codes::split ? groups * kExactBytes : 0);
  p.bytes = p.tile_bytes * p.tiles();
  if (codes == Codes::split) {
    p.low_at = p.bytes;
    p.bounds_at = p.low_at + align64((size_t)p.tiles() * kRows * (cols / 2));
    p.tile_bounds_at = p.bounds_at + align64((size_t)p.tiles() * kRows * 4);
    p.columns_at = p.tile_bounds_at + align64((size_t)p.tiles() * 2 * 4);
    p.bytes = p.columns_at + align64(groups * kExact * 4);
  }
  return p;
}

}  // namespace gw
