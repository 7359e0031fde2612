// Byte-pair merges over one piece of text, by a heap of possible merges.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace gw::text {

// The order of merges: best score, then longer left half, then longer right half (in characters), then smaller id, and
// among equals the leftmost place. This is the order of the merge list in Gemma's tokenizer.json.
struct Merge {
  uint64_t rank;
  int32_t id;   // of the piece it makes
  uint32_t at;  // offset of its left half

  bool comes_after(const Merge& other) const {
    return rank != other.rank ? rank > other.rank : id_and_place() > other.id_and_place();
  }
  uint64_t id_and_place() const { return static_cast<uint64_t>(id) << 32 | at; }
};

inline uint64_t merge_rank(const Vocabulary& v, int32_t id, int32_t left, int32_t right) {
  return static_cast<uint64_t>(v.order(id)) << 32 | static_cast<uint64_t>(255 - v.chars(left)) << 24 |
         static_cast<uint64_t>(255 - v.chars(right)) << 16;
}

// Symbols are known by their first byte's offset: `length_` there is their bytes (0 elsewhere), and `before_` at the
// offset where they end is their bytes too, so that both neighbours are found by arithmetic, without links.
class Window {
 public:
  explicit Window(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void merge(std::string_view text);  // every character of it is a piece; not empty; kept until the next call
  int32_t first() const { return ids_[0]; }
  size_t take(size_t limit, std::vector<int32_t>& out) const;  // appends the tokens that begin before limit; their bytes
  int32_t token_at(size_t at) const { return at < text_.size() ? ids_[at] : -1; }

 private:
  void lay_out(std::string_view text);
  bool consider(size_t at);  // adds the merge at `at` to heap_, if there is one
  bool is_current(const Merge& merge) const;
  void join(const Merge& merge);

  const Vocabulary& vocabulary_;
  std::string_view text_;
  std::vector<uint8_t> length_, before_;
  std::vector<int32_t> ids_;
  std::vector<Merge> heap_;
};

}  // namespace gw::text
