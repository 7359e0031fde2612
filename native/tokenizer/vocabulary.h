// A SentencePiece-style vocabulary with byte fallback, checked and indexed for byte-pair encoding.
//
// Inside, the space mark U+2581 is one byte, 0x20: pieces are shorter and words fall apart cheaply. It is no loss:
// a raw space never reaches the merges, because encoding turns it into the mark first, and decoding turns the mark back.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "literals.h"

namespace gw::text {

constexpr uint32_t kMaxPieceBytes = 255;  // Gemma's longest has 93; lengths are kept in one byte
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

// What a piece may do. SentencePiece's and GGUF's types are mapped to these by `Vocabulary`.
enum class Role : uint8_t {
  kText,     // comes from merges; type 1, or type 4 that is plainly text (see is_plain_text)
  kByte,     // stands for one byte that no piece covers; type 6
  kControl,  // a message to the model, never made from user text: types 2 and 3, and every other type 4
  kUnused,   // padding of the table, never made; type 5
};

class Vocabulary {
 public:
  // raw: `count` strings, each a little-endian uint64 length and its bytes, filling raw exactly.
  // scores: float[count], higher merges first. types: int32[count], 1 to 6 as SentencePiece numbers them.
  // Throws std::invalid_argument with a sentence that names the piece.
  Vocabulary(std::string_view raw, size_t count, const float* scores, const int32_t* types);

  size_t size() const { return roles_.size(); }
  Role role(int32_t id) const { return roles_[id]; }
  std::string_view stored(int32_t id) const { return {blob_.data() + begins_[id], begins_[id + 1] - begins_[id]}; }
  std::string spelling(int32_t id) const;  // as in the file
  uint8_t chars(int32_t id) const { return chars_[id]; }
  uint32_t order(int32_t id) const { return orders_[id]; }  // of its score: smaller merges first

  int32_t find(std::string_view text) const;  // the kText piece stored as `text`, or -1
  int32_t find_char(uint32_t code, std::string_view text) const { return code < kCommon ? common_[code] : find(text); }
  int32_t byte_piece(uint8_t byte) const { return bytes_[byte]; }
  uint8_t byte_of(int32_t id) const;  // of a kByte piece
  bool ever_joined(char last, char first) const {  // false: no piece holds a character boundary between such bytes
    uint32_t pair = static_cast<uint32_t>(static_cast<uint8_t>(last)) << 8 | static_cast<uint8_t>(first);
    return joined_[pair >> 6] >> (pair & 63) & 1;
  }
  uint32_t longest() const { return longest_; }  // bytes of the longest kText piece

  const Literals& text_literals() const { return text_literals_; }  // type 4 that is plainly text, as typed
  const Literals& all_literals() const { return all_literals_; }    // those and the control pieces

 private:
  static constexpr uint32_t kCommon = 0x10000;  // characters looked up in a table instead of by hash
  struct Slot {
    uint32_t tag;
    int32_t id;  // -1: empty
  };
  void read_pieces(std::string_view raw, size_t count, const int32_t* types);
  void index_text(const float* scores, const int32_t* types);
  void index_bytes();
  void fill_slots();
  void insert(int32_t id, uint64_t key);
  uint64_t hash(std::string_view text) const;

  std::string blob_;
  std::vector<uint32_t> begins_;  // size + 1 offsets into blob_
  std::vector<Role> roles_;
  std::vector<uint8_t> chars_;
  std::vector<uint32_t> orders_;
  std::vector<int32_t> common_;
  std::vector<Slot> slots_;
  std::array<int32_t, 256> bytes_;
  std::array<uint64_t, 1024> joined_{};
  uint32_t longest_ = 0;
  uint64_t secret_;  // of the hash: a file cannot be made to collide on purpose
  Literals text_literals_, all_literals_;
};

// Whether a user-defined piece is text people write: a run of newlines, tabs or space marks, an HTML tag of Gemma's
// list, or "[multimodal]". Everything else of that type (turn marks, image marks, <unused7>, <mask>) is a message to the
// model, whatever its file says: converters disagree (the image marks are type 4 in GGUF, special in tokenizer.json).
bool is_plain_text(std::string_view stored);

}  // namespace gw::text
