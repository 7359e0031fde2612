// The Python face of the tokenizer: bytes in, ids out. The GIL is released while text is encoded; a Vocabulary is never
// changed after it is made, so any number of threads may share one.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>

#include "encoder.h"
#include "vocabulary.h"

namespace nb = nanobind;
using nb::arg;
using gw::text::Role;
using gw::text::Vocabulary;

template <class T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

static constexpr size_t kMaxTextBytes = size_t{1} << 30;  // offsets inside are 32 bits

static std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

static void make(Vocabulary* self, Array<uint8_t> raw, Array<float> scores, Array<int32_t> types) {
  if (scores.size() != types.size()) throw std::invalid_argument("the vocabulary's scores and types differ in number");
  nb::gil_scoped_release unlocked;
  new (self) Vocabulary({reinterpret_cast<const char*>(raw.data()), raw.size()}, types.size(), scores.data(), types.data());
}

static nb::list encode(const Vocabulary& self, nb::bytes text, bool with_control) {
  if (text.size() > kMaxTextBytes) throw std::invalid_argument("the text is longer than 1 GiB");
  std::vector<int32_t> ids;
  {
    nb::gil_scoped_release unlocked;
    gw::text::encode(self, with_control ? self.all_literals() : self.text_literals(), view(text), ids);
  }
  nb::list result = nb::steal<nb::list>(PyList_New(static_cast<Py_ssize_t>(ids.size())));
  if (!result.is_valid()) throw nb::python_error();
  for (size_t i = 0; i < ids.size(); ++i) {
    PyObject* id = PyLong_FromLong(ids[i]);
    if (!id) throw nb::python_error();
    PyList_SET_ITEM(result.ptr(), static_cast<Py_ssize_t>(i), id);
  }
  return result;
}

static int32_t checked(const Vocabulary& self, int64_t id) {
  if (id < 0 || static_cast<uint64_t>(id) >= self.size())
    throw nb::index_error(("token " + std::to_string(id) + " is not in the vocabulary").c_str());
  return static_cast<int32_t>(id);
}

static void append_bytes(const Vocabulary& self, int32_t id, std::string& text) {
  if (self.role(id) == Role::kByte) text += static_cast<char>(self.byte_of(id));
  if (self.role(id) == Role::kText) text += self.stored(id);
}

static nb::bytes decode(const Vocabulary& self, const std::vector<int64_t>& ids, bool with_control) {
  std::string text;
  for (int64_t id : ids) {
    int32_t known = checked(self, id);
    append_bytes(self, known, text);
    if (with_control && self.role(known) == Role::kControl) text += self.stored(known);
  }
  return nb::bytes(text.data(), text.size());
}

static nb::bytes token_bytes(const Vocabulary& self, int64_t id) {
  std::string text;
  append_bytes(self, checked(self, id), text);
  return nb::bytes(text.data(), text.size());
}

static nb::bytes spelling(const Vocabulary& self, int64_t id) {
  std::string text = self.spelling(checked(self, id));
  return nb::bytes(text.data(), text.size());
}

static int64_t find_control(const Vocabulary& self, nb::bytes spelling) {
  int32_t id = self.all_literals().find(view(spelling));
  return id >= 0 && self.role(id) == Role::kControl ? id : -1;
}

static int64_t first_foreign_merge(const Vocabulary& self, Array<int32_t> left, Array<int32_t> right) {
  if (left.size() != right.size()) throw std::invalid_argument("merges: left and right differ in number");
  nb::gil_scoped_release unlocked;
  return gw::text::first_foreign_merge(self, left.data(), right.data(), left.size());
}

NB_MODULE(_tokenizer, m) {
  nb::class_<Vocabulary>(m, "Vocabulary")
      .def("__init__", &make, arg("raw").noconvert(), arg("scores").noconvert(), arg("types").noconvert())
      .def("__len__", &Vocabulary::size)
      .def("encode", &encode, arg("text"), arg("with_control"))
      .def("decode", &decode, arg("ids"), arg("with_control"))
      .def("token_bytes", &token_bytes, arg("id"))
      .def("spelling", &spelling, arg("id"))
      .def("find_control", &find_control, arg("spelling"))
      .def("is_control", [](const Vocabulary& self, int64_t id) { return self.role(checked(self, id)) == Role::kControl; },
           arg("id"))
      .def("first_foreign_merge", &first_foreign_merge, arg("left").noconvert(), arg("right").noconvert());
}
