#include "vocabulary.h"

#include <cstdio>
#include <cstring>
#include <set>

namespace gw::testing {

void Table::add(std::string_view piece, float score, int32_t type) {
  uint64_t length = piece.size();
  char bytes[8];
  std::memcpy(bytes, &length, 8);
  raw.append(bytes, 8).append(piece);
  scores.push_back(score);
  types.push_back(type);
}

void Table::add_bytes() {
  for (int byte = 0; byte < 256; ++byte) {
    char piece[8];
    std::snprintf(piece, sizeof piece, "<0x%02X>", byte);
    add(piece, 0.0f, 6);
  }
}

text::Vocabulary Table::read() const {
  auto bytes = exact_copy(std::vector<char>(raw.begin(), raw.end()));
  auto of_score = exact_copy(scores);
  auto of_type = exact_copy(types);
  return text::Vocabulary({bytes.get(), raw.size()}, scores.size(), of_score.get(), of_type.get());
}

Table lively_table() {
  Random random(60);
  Table table;
  for (const char* control : {"<pad>", "<eos>", "<bos>", "<start_of_turn>"}) table.add(control, 0.0f, 3);
  table.add_bytes();
  std::set<std::string> pieces = {"a", "b", "c", "e", "n", "t", "\xE2\x96\x81", "\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80"};
  for (int i = 0; i < 600; ++i) {   // each joins two that exist, as training would make them
    auto at = [&] { return *std::next(pieces.begin(), random.below((int)pieces.size())); };
    std::string joined = at() + at();
    if (joined.size() <= 40) pieces.insert(joined);
  }
  float score = 0.0f;
  for (const std::string& piece : pieces) table.add(piece, score -= (float)random.below(2), 1);
  for (const char* tag : {"<b>", "</b>", "\n\n", "<start_of_image>"}) table.add(tag, -1000.0f, 4);
  table.add("<unused0>", 0.0f, 5);
  return table;
}

}  // namespace gw::testing
