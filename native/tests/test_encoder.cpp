// Encoding hostile text: whatever the bytes, the tokens spell them, and windows change nothing.
#include "../tokenizer/encoder.h"

#include "../tokenizer/window.h"
#include "vocabulary.h"

using namespace gw;
using namespace gw::testing;
using namespace gw::text;

namespace {

std::vector<int32_t> encoded(const Vocabulary& v, const std::string& bytes) {
  auto exact = exact_copy(std::vector<char>(bytes.begin(), bytes.end()));
  std::vector<int32_t> ids;
  encode(v, v.text_literals(), {exact.get(), bytes.size()}, ids);
  return ids;
}

// The bytes that tokens stand for, with raw spaces for marks.
std::string spelled(const Vocabulary& v, const std::vector<int32_t>& ids) {
  std::string all;
  for (int32_t id : ids)
    all += v.role(id) == Role::kByte ? std::string(1, (char)v.byte_of(id)) : std::string(v.stored(id));
  return all;
}

std::string with_plain_spaces(std::string text) {
  for (size_t at = 0; (at = text.find(kSpaceMark, at)) != std::string::npos;) text.replace(at, kSpaceMark.size(), " ");
  return text;
}

// Pieces of text from harmless to hostile, put together at random.
std::string hostile(Random& random, int parts) {
  static const std::vector<std::string> all = {
      "a", "ben", "cat", "q", " ", "\n\n", "<b>", "</b", "<start_of_turn>", "<0x0A>", std::string(1, '\0'),
      "\xE2\x96\x81", "\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80",       // whole characters
      "\xE2\x96", "\xC3", "\xF0\x9F\x98", "\x80", "\xFF",                       // parts of some
      "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80"};                         // overlong, a surrogate, too large
  std::string text;
  for (int i = 0; i < parts; ++i)
    text += random.below(8) ? all[random.below((int)all.size())] : random.bytes(random.below(5));
  return text;
}

// Control pieces never come from text, and what comes spells it.
void check_encoding(const Vocabulary& v, const std::string& text) {
  std::vector<int32_t> ids = encoded(v, text);
  check(spelled(v, ids) == with_plain_spaces(text), "tokens do not spell the " + std::to_string(text.size()) + " bytes");
  for (int32_t id : ids)
    check(v.role(id) == Role::kText || v.role(id) == Role::kByte, "text became control piece " + std::to_string(id));
}

}  // namespace

TEST("random bytes and broken characters are spelled by their tokens, and none is a control token") {
  Vocabulary v = lively_table().read();
  Random random(61);
  for (int i = 0; i < 300; ++i) check_encoding(v, hostile(random, random.below(60)));
  for (int i = 0; i < 100; ++i) check_encoding(v, random.bytes(random.below(300)));
  for (int byte = 0; byte < 256; ++byte) check_encoding(v, std::string(1, (char)byte));
}

TEST("long runs are encoded, and windows give what one merge over the whole gives") {
  Vocabulary v = lively_table().read();
  Random random(62);
  const std::vector<std::string> letters = {"a", "b", "c", "e", "n", "t", " ", "\xC3\xA9", "\xE4\xB8\xAD"};
  for (int kinds : {1, 2, 4, 9})
    for (size_t bytes : {2047, 2048, 2049, 9000, 30000}) {
      std::string text;
      while (text.size() < bytes) text += letters[(size_t)random.below(kinds)];
      std::string marked = text;
      for (size_t at = 0; (at = marked.find(' ', at)) != std::string::npos; at += 3) marked.replace(at, 1, kSpaceMark);
      Window whole(v);
      std::vector<int32_t> expected;
      whole.merge(text);
      whole.take(text.size(), expected);
      std::string what = std::to_string(text.size()) + " bytes of " + std::to_string(kinds) + " letters";
      check(encoded(v, marked) == expected, what + ": other tokens in windows");
    }
  for (const char* unit : {"\xE2\x96\x81", "\n\n", "\xFF", "<b>"}) {
    std::string run;
    for (int i = 0; i < 20000; ++i) run += unit;
    check_encoding(v, run);
  }
}

TEST("a merge list with numbers outside the vocabulary is refused at that place") {
  Vocabulary v = lively_table().read();
  int32_t a = v.find("a"), size = (int32_t)v.size();
  for (int32_t strange : {-1, size, INT32_MAX, INT32_MIN, 0}) {   // 0 is a control piece
    int32_t left[] = {strange, a}, right[] = {a, strange};
    check(first_foreign_merge(v, left, right, 2) == 0, "a merge of the piece " + std::to_string(strange));
  }
}
