// What the files of the Python face share: array types, checks, results that are handed out without copying.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "core/memory.h"

namespace nb = nanobind;
using nb::arg;

template <class T, class... Shape>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu, Shape...>;
template <class T, class... Shape>
using InOut = nb::ndarray<T, nb::c_contig, nb::device::cpu, Shape...>;
using Matrix = In<float, nb::ndim<2>>;
using Cube = In<float, nb::ndim<3>>;
using Vector = In<float, nb::ndim<1>>;
using Ints = In<int32_t, nb::ndim<1>>;
using Pages = InOut<uint8_t, nb::ndim<3>>;
using Out = nb::ndarray<nb::numpy, float>;

inline void require(bool ok, const char* message) {
  if (!ok) throw nb::value_error(message);
}

inline Out result(std::initializer_list<size_t> shape) {
  size_t count = 1;
  for (size_t n : shape) count *= n;
  void* p = gw::take_buffer(count * sizeof(float));
  return Out((float*)p, shape, nb::capsule(p, [](void* q) noexcept { gw::recycle(q); }));
}

// Operations that take each row by itself (bindings_rows.cpp).
void bind_rows(nb::module_& m);
