// The Python face of the operations on rows and streams.
#include "bindings.h"
#include "core/dispatch.h"
#include "core/ops.h"

static Out rms_norm(In<float> x, Vector scale, float eps) {
  size_t n = scale.shape(0), rows = 1;
  require(x.ndim() >= 1 && x.ndim() <= 3 && x.shape(x.ndim() - 1) == n, "rms_norm: the last axis of x and the scale differ");
  for (size_t i = 0; i + 1 < x.ndim(); ++i) rows *= x.shape(i);
  Out out = x.ndim() == 1 ? result({n}) : x.ndim() == 2 ? result({rows, n}) : result({x.shape(0), x.shape(1), n});
  nb::gil_scoped_release free;
  gw::rms_norm(x.data(), (int)rows, (int)n, scale.data(), eps, out.data());
  return out;
}

static Out rope_table(Ints positions, int n, double base, double stretch, int turned) {
  require(n > 0 && n % 2 == 0 && base > 0 && stretch > 0, "rope_table: an even head_dim and a positive base and stretch are needed");
  require(0 <= turned && turned <= n / 2, "rope_table: a head has no more pairs than half its width");
  Out out = result({positions.shape(0), (size_t)n});
  nb::gil_scoped_release free;
  gw::rope_table(positions.data(), (int)positions.shape(0), n, base, stretch, turned, out.data());
  return out;
}

static Out rope(Cube x, Matrix table) {
  require(table.shape(0) == x.shape(0) && table.shape(1) == x.shape(2), "rope: the table does not fit x");
  Out out = result({x.shape(0), x.shape(1), x.shape(2)});
  nb::gil_scoped_release free;
  gw::rope(x.data(), (int)x.shape(0), (int)x.shape(1), (int)x.shape(2), table.data(), out.data());
  return out;
}

static Out norm_rope(Cube x, Vector scale, float eps, Matrix table) {
  require(scale.shape(0) == x.shape(2) && table.shape(0) == x.shape(0) && table.shape(1) == x.shape(2) && x.shape(2) % 2 == 0,
          "norm_rope: scale or table do not fit x");
  Out out = result({x.shape(0), x.shape(1), x.shape(2)});
  nb::gil_scoped_release free;
  gw::norm_rope(x.data(), (int)x.shape(0), (int)x.shape(1), (int)x.shape(2), scale.data(), eps, table.data(), out.data());
  return out;
}

static nb::tuple add_norm(Matrix x, Matrix y, Vector scale, Vector next, float eps) {
  size_t rows = x.shape(0), n = x.shape(1);
  require(y.shape(0) == rows && y.shape(1) == n && scale.shape(0) == n && next.shape(0) == n, "add_norm: the arrays differ in shape");
  Out sum = result({rows, n}), normed = result({rows, n});
  {
    nb::gil_scoped_release free;
    gw::add_norm(x.data(), y.data(), (int)rows, (int)n, scale.data(), next.data(), eps, sum.data(), normed.data());
  }
  return nb::make_tuple(sum, normed);
}

using Binary = void (*)(const float*, const float*, int, int, float*);
static Out binary(Matrix a, Matrix b, Binary run) {
  require(a.shape(0) == b.shape(0) && a.shape(1) == b.shape(1), "the two arrays differ in shape");
  Out out = result({a.shape(0), a.shape(1)});
  nb::gil_scoped_release free;
  run(a.data(), b.data(), (int)a.shape(0), (int)a.shape(1), out.data());
  return out;
}

// Row by row.
template <class F> static Out each_row(Matrix x, F run) {
  Out out = result({x.shape(0), x.shape(1)});
  nb::gil_scoped_release free;
  run(x.data(), (int)x.shape(0), (int)x.shape(1), out.data());
  return out;
}

static Out mean_square(Matrix x) {
  require(x.shape(1) > 0, "mean_square: no values");
  Out out = result({x.shape(0)});
  nb::gil_scoped_release free;
  gw::mean_square(x.data(), (int)x.shape(0), (int)x.shape(1), out.data());
  return out;
}

static Out mix(Cube x, Cube factor) {
  require(factor.shape(0) == x.shape(0) && factor.shape(2) == x.shape(1) && x.shape(1) > 0, "mix: the factors do not fit x");
  Out out = result({x.shape(0), factor.shape(1), x.shape(2)});
  nb::gil_scoped_release free;
  gw::mix(x.data(), factor.data(), (int)x.shape(0), (int)x.shape(1), (int)factor.shape(1), (int)x.shape(2), out.data());
  return out;
}

static Out spread(Cube x, Matrix factor, Matrix d) {
  require(factor.shape(0) == x.shape(0) && factor.shape(1) == x.shape(1) && d.shape(0) == x.shape(0) && d.shape(1) == x.shape(2), "spread: factors or d do not fit x");
  Out out = result({x.shape(0), x.shape(1), x.shape(2)});
  nb::gil_scoped_release free;
  gw::spread(x.data(), factor.data(), d.data(), (int)x.shape(0), (int)x.shape(1), (int)x.shape(2), out.data());
  return out;
}

static nb::tuple top_k(Vector row, int k) {
  require(k >= 1 && (size_t)k <= row.shape(0), "top_k: k must be between 1 and the number of values");
  Out values = result({(size_t)k});
  void* p = gw::take_buffer(k * sizeof(int32_t));
  nb::ndarray<nb::numpy, int32_t> at((int32_t*)p, {(size_t)k}, nb::capsule(p, [](void* q) noexcept { gw::recycle(q); }));
  {
    nb::gil_scoped_release free;
    gw::kernels().top_k(row.data(), (int)row.shape(0), k, values.data(), at.data());
  }
  return nb::make_tuple(at, values);
}

void bind_rows(nb::module_& m) {
  m.def("rms_norm", &rms_norm, arg("x").noconvert(), arg("scale").noconvert(), arg("eps"));
  m.def("rope_table", &rope_table, arg("positions").noconvert(), arg("head_dim"), arg("base"), arg("stretch"), arg("turned"));
  m.def("rope", &rope, arg("x").noconvert(), arg("table").noconvert());
  m.def("norm_rope", &norm_rope, arg("x").noconvert(), arg("scale").noconvert(), arg("eps"), arg("table").noconvert());
  m.def("add_norm", &add_norm, arg("x").noconvert(), arg("y").noconvert(), arg("scale").noconvert(), arg("next").noconvert(), arg("eps"));
  m.def("geglu_mul", [](Matrix gate, Matrix up) { return binary(gate, up, gw::geglu); }, arg("gate").noconvert(), arg("up").noconvert());
  m.def("add", [](Matrix a, Matrix b) { return binary(a, b, gw::add); }, arg("a").noconvert(), arg("b").noconvert());
  m.def("softcap", [](Matrix x, float cap) {
    require(cap > 0, "softcap: a positive cap is needed");
    return each_row(x, [cap](const float* from, int rows, int n, float* to) { gw::softcap(from, cap, rows, n, to); });
  }, arg("x").noconvert(), arg("cap"));
  m.def("softmax", [](Matrix x) {
    require(x.shape(1) > 0, "softmax: no values");
    return each_row(x, gw::softmax);
  }, arg("x").noconvert());
  m.def("sparsify", [](Matrix x, float deviations) {
    require(x.shape(1) > 0, "sparsify: no values");
    return each_row(x, [deviations](const float* from, int rows, int n, float* to) { gw::sparsify(from, deviations, rows, n, to); });
  }, arg("x").noconvert(), arg("deviations"));
  m.def("mean_square", &mean_square, arg("x").noconvert());
  m.def("mix", &mix, arg("x").noconvert(), arg("factor").noconvert());
  m.def("spread", &spread, arg("x").noconvert(), arg("factor").noconvert(), arg("d").noconvert());
  m.def("argmax", [](Vector row) {
    require(row.shape(0) > 0, "argmax: no values");
    nb::gil_scoped_release free;
    return gw::kernels().argmax(row.data(), (int)row.shape(0));
  }, arg("row").noconvert());
  m.def("top_k", &top_k, arg("row").noconvert(), arg("k"));
  m.def("log_sum_exp", [](Vector row) {
    require(row.shape(0) > 0, "log_sum_exp: no values");
    nb::gil_scoped_release free;
    return gw::kernels().log_sum_exp(row.data(), (int)row.shape(0));
  }, arg("row").noconvert());
}
