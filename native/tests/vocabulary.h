// Vocabularies for tests: a table in the form files have it, byte pieces included.
#pragma once
#include <string>
#include <vector>

#include "../tokenizer/vocabulary.h"
#include "check.h"

namespace gw::testing {

// Pieces with their scores and types, to be written as a table.
struct Table {
  std::string raw;
  std::vector<float> scores;
  std::vector<int32_t> types;

  void add(std::string_view piece, float score, int32_t type);
  void add_bytes();   // <0x00> to <0xFF>
  // Reads the table from memory of exactly its size.
  text::Vocabulary read() const;
};

// A few hundred pieces that merge well: letters, syllables, words with the space mark, emoji, tags, control pieces.
Table lively_table();

}  // namespace gw::testing
