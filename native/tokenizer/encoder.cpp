#include "encoder.h"

#include <algorithm>

#include "utf8.h"
#include "window.h"

namespace gw::text {

namespace {

constexpr size_t kWindow = 2048;  // bytes; its heap stays in the nearest caches
static_assert(kWindow / 4 > kMaxPieceBytes + 4, "the last quarter of a window must hold a whole token");

// Encodes stretches of text that merges may cross as a whole, in windows.
//
// A sequence of pieces is the encoding of a text exactly if every two neighbours are the encoding of their own text:
// the run of merges on the whole, looked at between any token boundaries, is the run on that part alone. So a window's
// tokens may be kept as soon as the next window, begun at one of them, yields that same token first. Where it does not,
// both go back and grow; a window as long as the stretch needs no such proof.
class Stretches {
 public:
  Stretches(const Vocabulary& vocabulary, std::vector<int32_t>& out)
      : vocabulary_(vocabulary), out_(out), window_(vocabulary) {}

  void append(std::string_view bytes) {
    if (!text_.empty() && !vocabulary_.ever_joined(text_.back(), bytes[0])) finish();
    text_ += bytes;
  }

  void finish() {
    std::string_view text = text_;
    size_t first_out = out_.size(), from = 0, width = kWindow;
    int32_t seam = -1;  // the token the window must begin with
    while (from < text.size()) {
      size_t to = text.size() - from <= width ? text.size() : from + width;
      while (to < text.size() && continues_a_char(text[to])) --to;
      window_.merge(text.substr(from, to - from));
      if (seam >= 0 && window_.first() != seam) {
        for (size_t back = 0; back < width / 2 && out_.size() > first_out; out_.pop_back()) {
          seam = out_.back();
          back += vocabulary_.stored(seam).size();
          from -= vocabulary_.stored(seam).size();
        }
        if (from == 0) seam = -1;
        width *= 2;
        continue;
      }
      size_t kept = window_.take(to == text.size() ? to - from : width / 4 * 3, out_);
      from += kept;
      seam = window_.token_at(kept);
      width = kWindow;
    }
    text_.clear();
  }

 private:
  const Vocabulary& vocabulary_;
  std::vector<int32_t>& out_;
  std::string text_;
  Window window_;
};

}  // namespace

void encode(const Vocabulary& vocabulary, const Literals& literals, std::string_view text, std::vector<int32_t>& ids) {
  Stretches stretches(vocabulary, ids);
  auto bytewise = [&](std::string_view bytes) {
    stretches.finish();
    for (char byte : bytes) ids.push_back(vocabulary.byte_piece(static_cast<uint8_t>(byte)));
  };
  for (size_t at = 0; at < text.size();) {
    if (Literals::Match match = literals.longest_at(text, at); match.bytes) {
      stretches.finish();
      ids.push_back(match.id);
      at += match.bytes;
      continue;
    }
    Char c = char_at(text, at);
    std::string_view raw = text.substr(at, c.bytes ? c.bytes : 1);
    bool is_mark = raw == kSpaceMark;
    std::string_view stored = is_mark ? std::string_view(" ") : raw;
    if (c.bytes && vocabulary.find_char(is_mark ? ' ' : c.code, stored) >= 0) {
      stretches.append(stored);
    } else {
      bytewise(raw);
    }
    at += raw.size();
  }
  stretches.finish();
}

int64_t first_foreign_merge(const Vocabulary& vocabulary, const int32_t* left, const int32_t* right, size_t count) {
  int32_t size = static_cast<int32_t>(vocabulary.size());
  Merge last{0, -1, 0};
  for (size_t i = 0; i < count; ++i) {
    for (int32_t id : {left[i], right[i]})
      if (id < 0 || id >= size || vocabulary.role(id) != Role::kText) return static_cast<int64_t>(i);
    std::string both(vocabulary.stored(left[i]));
    both += vocabulary.stored(right[i]);
    int32_t id = vocabulary.find(both);
    if (id < 0) return static_cast<int64_t>(i);
    Merge next{merge_rank(vocabulary, id, left[i], right[i]), id, 0};
    if (i > 0 && !next.comes_after(last)) return static_cast<int64_t>(i);
    last = next;
  }
  size_t halves = 0;
  for (int32_t id = 0; id < size; ++id) {
    if (vocabulary.role(id) != Role::kText) continue;
    std::string_view text = vocabulary.stored(id);
    for (size_t cut = 1; cut < text.size(); ++cut)
      halves += !continues_a_char(text[cut]) && vocabulary.find(text.substr(0, cut)) >= 0 &&
                vocabulary.find(text.substr(cut)) >= 0;
  }
  return halves == count ? -1 : static_cast<int64_t>(std::min(halves, count));
}

}  // namespace gw::text
