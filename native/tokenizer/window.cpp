#include "window.h"

#include <algorithm>

#include "utf8.h"

namespace gw::text {

namespace {
bool later(const Merge& a, const Merge& b) { return a.comes_after(b); }
}  // namespace

void Window::merge(std::string_view text) {
  lay_out(text);
  heap_.clear();
  for (size_t at = 0; at < text_.size(); at += length_[at]) consider(at);
  std::make_heap(heap_.begin(), heap_.end(), later);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Merge best = heap_.back();
    heap_.pop_back();
    if (!is_current(best)) continue;
    join(best);
    if (consider(best.at)) std::push_heap(heap_.begin(), heap_.end(), later);
    if (best.at > 0 && consider(best.at - before_[best.at])) std::push_heap(heap_.begin(), heap_.end(), later);
  }
}

size_t Window::take(size_t limit, std::vector<int32_t>& out) const {
  size_t at = 0;
  for (; at < limit; at += length_[at]) out.push_back(ids_[at]);
  return at;
}

void Window::lay_out(std::string_view text) {
  text_ = text;
  length_.assign(text.size(), 0);
  before_.resize(text.size() + 1);
  ids_.resize(text.size());
  for (size_t at = 0; at < text.size();) {
    Char c = char_at(text, at);
    length_[at] = static_cast<uint8_t>(c.bytes);
    ids_[at] = vocabulary_.find_char(c.code, text.substr(at, c.bytes));
    at += c.bytes;
    before_[at] = static_cast<uint8_t>(c.bytes);
  }
}

bool Window::consider(size_t at) {
  size_t next = at + length_[at];
  if (next >= text_.size()) return false;
  size_t both = static_cast<size_t>(length_[at]) + length_[next];
  if (both > vocabulary_.longest()) return false;
  int32_t id = vocabulary_.find(text_.substr(at, both));
  if (id < 0) return false;
  heap_.push_back({merge_rank(vocabulary_, id, ids_[at], ids_[next]), id, static_cast<uint32_t>(at)});
  return true;
}

// Boundaries only ever vanish, so a symbol that still begins at `at`, with a neighbour that ends where the merge would,
// is the very pair the merge was made for.
bool Window::is_current(const Merge& merge) const {
  size_t left = length_[merge.at], both = vocabulary_.stored(merge.id).size();
  return left != 0 && left < both && left + length_[merge.at + left] == both;
}

void Window::join(const Merge& merge) {
  size_t left = length_[merge.at], both = left + length_[merge.at + left];
  length_[merge.at + left] = 0;
  length_[merge.at] = static_cast<uint8_t>(both);
  before_[merge.at + both] = static_cast<uint8_t>(both);
  ids_[merge.at] = merge.id;
}

}  // namespace gw::text
