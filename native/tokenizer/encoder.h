// Byte-pair encoding exactly as Gemma's reference does it, in time n log n of the longest stretch merges can cross.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace gw::text {

// Appends the ids of `text` to `ids`. text: bytes, usually UTF-8; a byte that is not part of a well-formed character,
// and each byte of a character without a piece, becomes its byte piece, and nothing merges across it.
// `literals` are tokens as they stand: leftmost, longest first, found before anything else.
void encode(const Vocabulary& vocabulary, const Literals& literals, std::string_view text, std::vector<int32_t>& ids);

// A merge list as tokenizer.json keeps it: merge i joins left[i] and right[i], earlier ones first.
// Returns the first i whose place differs from the order of `encode`, or -1 if list and order are the same:
// every way to halve a piece is listed, and nothing else is.
int64_t first_foreign_merge(const Vocabulary& vocabulary, const int32_t* left, const int32_t* right, size_t count);

}  // namespace gw::text
