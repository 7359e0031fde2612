// The Python face of the kernels: checks shapes, releases the GIL, hands results out without copying.
// Arrays are C-contiguous; anything else is refused rather than converted, so nothing is copied by accident.
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "bindings.h"
#include "core/checksum.h"
#include "core/dispatch.h"
#include "core/ops.h"
#include "core/pack.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/quantise_weights.h"

static std::vector<Out> linear(Matrix x, std::vector<gw::Packed*> weights, bool wide) {
  size_t tokens = x.shape(0);
  std::vector<const gw::PackedView*> views;
  std::vector<Out> outs;
  std::vector<float*> to;
  for (gw::Packed* w : weights) {
    require((size_t)w->view().cols == x.shape(1), "linear: x and the weights differ in columns");
    views.push_back(&w->view());
    outs.push_back(result({tokens, (size_t)w->view().rows}));
    to.push_back(outs.back().data());
  }
  nb::gil_scoped_release free;
  gw::linear(x.data(), (int)tokens, (int)x.shape(1), views, wide, to);
  return outs;
}

static Out linear_geglu(Matrix x, const gw::Packed& gate, const gw::Packed& up, bool wide) {
  size_t tokens = x.shape(0), cols = x.shape(1);
  require((size_t)gate.view().cols == cols && (size_t)up.view().cols == cols, "linear_geglu: x and the weights differ in columns");
  require(gate.view().rows == up.view().rows, "linear_geglu: gate and up differ in rows");
  Out out = result({tokens, (size_t)gate.view().rows});
  nb::gil_scoped_release free;
  gw::linear_geglu(x.data(), (int)tokens, (int)cols, gate.view(), up.view(), wide, out.data());
  return out;
}

static Out embed(const gw::Packed& table, Ints tokens, float factor) {
  for (size_t i = 0; i < tokens.shape(0); ++i)
    require(tokens.data()[i] >= 0 && tokens.data()[i] < table.view().rows, "embed: a token is outside the vocabulary");
  Out out = result({tokens.shape(0), (size_t)table.view().cols});
  nb::gil_scoped_release free;
  gw::embed(table.view(), tokens.data(), (int)tokens.shape(0), factor, out.data());
  return out;
}

static Out unpack(const gw::Packed& w) {
  size_t rows = w.view().rows, cols = w.view().cols;
  Out out = result({rows, cols});
  nb::gil_scoped_release free;
  for (size_t r = 0; r < rows; ++r) gw::unpack_row(w.view(), (int)r, out.data() + r * cols);
  return out;
}

static gw::LayerCache layer(Pages& k, Pages& v, int format, size_t head_dim, In<int32_t, nb::ndim<2>>& table, Ints& slots, Ints& positions) {
  require(format >= 0 && format <= 2, "there is no such cache format");
  require(head_dim > 0 && k.shape(0) == v.shape(0) && k.shape(1) == v.shape(1) && k.shape(1) > 0 &&
              k.shape(2) == gw::key_page_bytes((gw::KvFormat)format, (int)head_dim) && v.shape(2) == gw::value_page_bytes((gw::KvFormat)format, (int)head_dim),
          "the cache must be k[pages, kv_heads, bytes of a page of keys] and v[pages, kv_heads, bytes of a page of values]");
  require(slots.shape(0) == positions.shape(0), "slots and positions differ in length");
  require(table.shape(1) > 0, "the page table is empty");
  for (size_t i = 0; i < slots.shape(0); ++i) {
    int slot = slots.data()[i], position = positions.data()[i];
    require(slot >= 0 && (size_t)slot < table.shape(0) && position >= 0, "a slot or position is outside the page table");
    int page = table.data()[slot * table.shape(1) + (position / gw::kPage) % table.shape(1)];
    require(page >= 0 && (size_t)page < k.shape(0), "the page table names a page that does not exist");
  }
  return {(gw::KvFormat)format, k.data(), v.data(), table.data(), (int)table.shape(1), (int)k.shape(1), (int)head_dim};
}

static void cache_write(Cube k, Cube v, Pages k_pages, Pages v_pages, int format, In<int32_t, nb::ndim<2>> table, Ints slots, Ints positions) {
  gw::LayerCache cache = layer(k_pages, v_pages, format, k.shape(2), table, slots, positions);
  for (const Cube* x : {&k, &v})
    require(x->shape(0) == slots.shape(0) && (int)x->shape(1) == cache.kv_heads && (int)x->shape(2) == cache.head_dim, "cache_write: k or v does not fit the cache");
  nb::gil_scoped_release free;
  gw::cache_write(cache, k.data(), v.data(), slots.data(), positions.data(), (int)slots.shape(0));
}

static Out attend(Cube q, Pages k_pages, Pages v_pages, int format, In<int32_t, nb::ndim<2>> table, Ints slots, Ints positions, Ints reach, float scale, int window, float softcap) {
  gw::LayerCache cache = layer(k_pages, v_pages, format, q.shape(2), table, slots, positions);
  require(q.shape(0) == slots.shape(0) && (int)q.shape(2) == cache.head_dim && q.shape(1) % cache.kv_heads == 0, "attend: q does not fit the cache");
  require(window >= 0, "attend: a window is 0 (none) or more");
  require(reach.shape(0) == 0 || reach.shape(0) == slots.shape(0), "attend: reach is empty, or as long as slots");
  const int* furthest = reach.shape(0) ? reach.data() : positions.data();
  for (size_t i = 0; i < slots.shape(0); ++i) {   // every page a token will read must be one that exists
    require(furthest[i] >= positions.data()[i], "attend: a token sees itself at least");
    int last = furthest[i] / gw::kPage, first = window ? std::max(0, positions.data()[i] - window + 1) / gw::kPage : 0;
    require(last - first < cache.ring, "attend: the ring is smaller than what a token sees");
    for (int p = first; p <= last; ++p) {
      int page = table.data()[(size_t)slots.data()[i] * cache.ring + p % cache.ring];
      require(page >= 0 && (size_t)page < k_pages.shape(0), "attend: the page table names a page that does not exist");
    }
  }
  Out out = result({q.shape(0), q.shape(1), q.shape(2)});
  nb::gil_scoped_release free;
  gw::attend(cache, q.data(), slots.data(), positions.data(), furthest, (int)q.shape(0), (int)q.shape(1), scale, window, softcap, out.data());
  return out;
}

static nb::tuple largest(Matrix x, const gw::Packed& w, int k, int below) {
  require(w.view().codes == gw::Codes::split, "largest: a split matrix is needed");
  require((size_t)w.view().cols == x.shape(1), "largest: x and the weights differ in columns");
  require(1 <= k && k <= below && below <= w.view().rows, "largest: 1 <= k <= below <= rows");
  size_t tokens = x.shape(0);
  Out values = result({tokens, (size_t)k});
  void* p = gw::take_buffer(tokens * k * sizeof(int32_t));
  nb::ndarray<nb::numpy, int32_t> at((int32_t*)p, {tokens, (size_t)k}, nb::capsule(p, [](void* q) noexcept { gw::recycle(q); }));
  {
    nb::gil_scoped_release free;
    if (tokens) gw::largest(x.data(), (int)tokens, w.view(), k, below, at.data(), values.data());
  }
  return nb::make_tuple(at, values);
}

// One row through the activation quantiser, for tests: codes, scales, outlier columns, outlier values.
static nb::tuple quantise(Vector x, bool wide) {
  int n = (int)x.shape(0), groups = n / gw::kGroup;
  require(n > 0 && n % gw::kGroup == 0, "quantise: a multiple of 32 values is needed");
  gw::Activations a{};
  a.tokens = 1, a.cols = n, a.groups = groups, a.wide = wide, a.outliers = wide ? 0 : gw::outliers(n);
  std::vector<int8_t> bytes(a.row_bytes());
  std::vector<int32_t> sums(2 * groups), at(a.outliers);
  Out codes = result({(size_t)n}), scale = result({(size_t)groups}), outlier = result({(size_t)a.outliers});
  a.codes = bytes.data(), a.scale = scale.data(), a.sums = sums.data(), a.outlier_at = at.data(), a.outlier = outlier.data();
  gw::kernels().quantise(x.data(), a, 0, (uint8_t*)gw::thread_scratch(0, gw::quantise_scratch(n)));
  for (int i = 0; i < n; ++i) {
    int16_t word;
    std::memcpy(&word, bytes.data() + (wide ? 2 * i : 0), 2);
    codes.data()[i] = !wide ? bytes[i] : gw::kernels().planes ? 256 * bytes[i] + bytes[n + i] : word;
  }
  return nb::make_tuple(codes, scale, at, outlier);
}

using Bytes = In<uint8_t, nb::ndim<1>>;

// How many values `data` holds as ggml type `type`; throws unless they are whole blocks.
static int64_t count_values(Bytes data, int type) {
  gw::TypeInfo info = gw::type_info(type);
  require(data.shape(0) % info.block_bytes == 0, "data is not a whole number of blocks");
  return (int64_t)(data.shape(0) / info.block_bytes) * info.block_values;
}

// (blocks of type `to`, place of the first value that cannot be converted or -1).
static nb::tuple requantise(Bytes data, int from, int to) {
  require(gw::can_requantise(from, to), "requantise: not between these types");
  int64_t count = count_values(data, from);
  gw::TypeInfo info = gw::type_info(to);
  require(count % info.block_values == 0 && count < (int64_t)1 << 40, "requantise: not a whole number of blocks");
  size_t bytes = (size_t)(count / info.block_values) * info.block_bytes;
  void* p = gw::take_buffer(bytes);
  nb::ndarray<nb::numpy, uint8_t> out((uint8_t*)p, {bytes}, nb::capsule(p, [](void* q) noexcept { gw::recycle(q); }));
  int64_t bad;
  {
    nb::gil_scoped_release free;
    bad = gw::requantise((gw::Type)from, data.data(), count, (gw::Type)to, out.data());
  }
  return nb::make_tuple(out, bad);
}

static bool is_on_q4_0_grid(Bytes data, int type) {
  require(type == (int)gw::Type::f32 || type == (int)gw::Type::f16 || type == (int)gw::Type::bf16, "is_on_q4_0_grid: not a float type");
  int64_t count = count_values(data, type);
  require(count % gw::kGroup == 0, "is_on_q4_0_grid: a multiple of 32 values is needed");
  nb::gil_scoped_release free;
  return gw::is_on_q4_0_grid((gw::Type)type, data.data(), count);
}

// End of `count` strings (uint64 length, then bytes) that start at `offset`, or -1 where they would pass the end.
static int64_t scan_strings(In<uint8_t, nb::ndim<1>> region, int64_t offset, int64_t count) {
  const uint8_t* p = region.data();
  uint64_t size = region.shape(0), at = offset;
  require(offset >= 0 && count >= 0, "scan_strings: negative offset or count");
  for (int64_t i = 0; i < count; ++i) {
    uint64_t length;
    if (at > size || size - at < 8) return -1;
    std::memcpy(&length, p + at, 8);
    at += 8;
    if (length > size - at) return -1;
    at += length;
  }
  return (int64_t)at;
}

static void require_blocks(int type, int rows, int cols) {
  require(rows > 0 && cols > 0 && cols % gw::type_info(type).block_values == 0, "Packed: columns are not a whole number of blocks");
}

NB_MODULE(_native, m) {
  m.doc() = "gemwright's kernels; use gemwright.ops.";
  nb::set_leak_warnings(false);   // arrays may outlive the interpreter's teardown

  m.def("targets", [] {
    nb::list all;
    for (const gw::TargetInfo& t : gw::targets()) all.append(nb::make_tuple(t.name, t.supported));
    return all;
  });
  m.def("active_target", [] { return gw::kernels().name; });
  m.def("use_target", &gw::use_target, arg("name"));
  m.def("threads", &gw::threads);
  m.def("set_threads", [](int count) {
    require(count >= 1 && count <= 512, "set_threads: between 1 and 512");
    gw::set_threads(count);
  }, arg("count"));

  nb::class_<gw::Packed>(m, "Packed")
      .def("__init__", [](gw::Packed* self, int type, int rows, int cols) {
        require_blocks(type, rows, cols);
        new (self) gw::Packed(type, rows, cols);
      }, arg("type"), arg("rows"), arg("cols"))
      .def("__init__", [](gw::Packed* self, int type, int rows, int cols, In<uint8_t, nb::ndim<1>> data) {
        require_blocks(type, rows, cols);
        require(data.shape(0) == gw::Packed::bytes_of(type, rows, cols), "Packed: the bytes are not of the size its shape needs");
        require((uintptr_t)data.data() % 64 == 0, "Packed: the bytes are not aligned to 64");
        new (self) gw::Packed(type, rows, cols, data.data());
      }, arg("type"), arg("rows"), arg("cols"), arg("data").noconvert(), nb::keep_alive<1, 5>())
      .def_static("bytes_of", [](int type, int rows, int cols) {
        require_blocks(type, rows, cols);
        return gw::Packed::bytes_of(type, rows, cols);
      }, arg("type"), arg("rows"), arg("cols"))
      .def("fill", [](gw::Packed& self, In<uint8_t, nb::ndim<1>> data, int first, int rows) {
        const gw::PackedView& to = self.view();
        require(self.owns(), "fill: the memory is not its own");
        require(first >= 0 && first % gw::kRows == 0 && rows > 0 && rows <= to.rows - first, "fill: rows outside the matrix, or not from a tile on");
        require(rows % gw::kRows == 0 || first + rows == to.rows, "fill: not a whole number of tiles");
        require(data.shape(0) == (size_t)rows * self.row_bytes(), "fill: data is not of the size its shape needs");
        nb::gil_scoped_release free;
        return self.fill(data.data(), first, rows);
      }, arg("data").noconvert(), arg("first"), arg("rows"))
      .def("choose", [](gw::Packed& self, In<int32_t, nb::ndim<1>> columns) {
        const gw::PackedView& to = self.view();
        require(self.owns() && to.codes == gw::Codes::split, "choose: only a split matrix in memory of its own has a choice");
        require(columns.shape(0) == (size_t)to.groups() * gw::kExact, "choose: eight columns of each group are needed");
        for (int i = 0; i < (int)columns.shape(0); ++i)
          require(columns.data()[i] / gw::kGroup == i / gw::kExact && columns.data()[i] >= 0 && (i % gw::kExact == 0 || columns.data()[i] > columns.data()[i - 1]),
                  "choose: columns outside their group, or not ascending");
        self.choose(columns.data());
      }, arg("columns").noconvert())
      .def_prop_ro("row_bytes", &gw::Packed::row_bytes)
      .def_prop_ro("scanned_bytes", [](const gw::Packed& w) { return w.view().tile_bytes * w.view().tiles(); })
      .def_prop_ro("is_split", [](const gw::Packed& w) { return w.view().codes == gw::Codes::split; })
      .def_prop_ro("rows", [](const gw::Packed& w) { return w.view().rows; })
      .def_prop_ro("cols", [](const gw::Packed& w) { return w.view().cols; })
      .def_prop_ro("nbytes", &gw::Packed::bytes)
      .def_prop_ro("data", [](const gw::Packed& w) {
        return nb::ndarray<nb::numpy, const uint8_t, nb::ndim<1>>(w.view().data, {w.bytes()}, nb::find(w));
      })
      .def("to_f32", &unpack);

  m.def("linear", &linear, arg("x").noconvert(), arg("weights"), arg("wide"));
  m.def("linear_geglu", &linear_geglu, arg("x").noconvert(), arg("gate"), arg("up"), arg("wide"));
  m.def("largest", &largest, arg("x").noconvert(), arg("table"), arg("k"), arg("below"));
  m.def("embed", &embed, arg("table"), arg("tokens").noconvert(), arg("factor"));
  bind_rows(m);
  m.def("cache_write", &cache_write, arg("k").noconvert(), arg("v").noconvert(), arg("k_pages").noconvert(), arg("v_pages").noconvert(),
        arg("format"), arg("table").noconvert(), arg("slots").noconvert(), arg("positions").noconvert());
  m.def("attend", &attend, arg("q").noconvert(), arg("k_pages").noconvert(), arg("v_pages").noconvert(), arg("format"),
        arg("table").noconvert(), arg("slots").noconvert(), arg("positions").noconvert(), arg("reach").noconvert(), arg("scale"), arg("window"), arg("softcap"));
  m.def("page_bytes", [](int format, int head_dim) {
    require(format >= 0 && format <= 2 && head_dim > 0, "page_bytes: no such format or head_dim");
    return nb::make_tuple(gw::key_page_bytes((gw::KvFormat)format, head_dim), gw::value_page_bytes((gw::KvFormat)format, head_dim));
  }, arg("format"), arg("head_dim"));
  m.def("quantise", &quantise, arg("x").noconvert(), arg("wide"));
  m.def("requantise", &requantise, arg("data").noconvert(), arg("from_type"), arg("to_type"));
  m.def("is_on_q4_0_grid", &is_on_q4_0_grid, arg("data").noconvert(), arg("type"));
  m.def("checksum", [](In<uint8_t, nb::ndim<1>> data) {
    nb::gil_scoped_release free;
    return gw::checksum(data.data(), data.shape(0));
  }, arg("data").noconvert());
  m.attr("LAYOUT_VERSION") = gw::kLayoutVersion;
  m.def("read_bytes_per_second", &gw::read_bytes_per_second, nb::call_guard<nb::gil_scoped_release>());
  m.def("multiplications_per_second", &gw::multiplications_per_second, nb::call_guard<nb::gil_scoped_release>());
  m.def("scan_strings", &scan_strings, arg("region").noconvert(), arg("offset"), arg("count"));
}
