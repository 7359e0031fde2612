#include "vocabulary.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>

#include "utf8.h"

namespace gw::text {

namespace {

[[noreturn]] void refuse(size_t id, const std::string& why) {
  throw std::invalid_argument("piece " + std::to_string(id) + " of the vocabulary " + why);
}

uint64_t load(const char* from, size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, from, bytes);
  return value;
}

uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

Role role_of(size_t id, int32_t type, std::string_view stored) {
  switch (type) {
    case 1: return Role::kText;
    case 2: case 3: return Role::kControl;
    case 4: return is_plain_text(stored) ? Role::kText : Role::kControl;
    case 5: return Role::kUnused;
    case 6: return Role::kByte;
    default: refuse(id, "has type " + std::to_string(type) + ", which is none of 1 to 6");
  }
}

// Scores as integers in reverse order, so that the best score is the smallest. -0 counts as 0.
uint32_t order_of(float score) {
  score += 0.0f;
  uint32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

}  // namespace

bool is_plain_text(std::string_view stored) {
  static constexpr std::string_view tags[] = {
      "a", "b", "bbox", "blockquote", "body", "caption", "code", "div", "em", "footer", "h1", "h2", "h3", "h4", "h5",
      "h6", "html", "i", "iframe", "img", "li", "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot",
      "th", "thead", "tr", "u", "ul"};
  if (stored.empty()) return false;
  if (stored == "[multimodal]") return true;
  if (stored[0] == '\n' || stored[0] == '\t' || stored[0] == ' ')
    return stored.find_first_not_of(stored[0]) == std::string_view::npos;
  if (stored.size() < 3 || stored.front() != '<' || stored.back() != '>') return false;
  std::string_view name = stored.substr(1, stored.size() - 2);
  if (name[0] == '/') name.remove_prefix(1);
  for (std::string_view tag : tags)
    if (name == tag) return true;
  return false;
}

Vocabulary::Vocabulary(std::string_view raw, size_t count, const float* scores, const int32_t* types)
    : common_(kCommon, -1) {
  bytes_.fill(-1);
  std::random_device entropy;
  secret_ = (static_cast<uint64_t>(entropy()) << 32 | entropy()) | 1;
  read_pieces(raw, count, types);
  index_text(scores, types);
  index_bytes();
}

std::string Vocabulary::spelling(int32_t id) const {
  if (roles_[id] != Role::kText) return std::string(stored(id));
  std::string text;
  for (char c : stored(id)) c == ' ' ? text.append(kSpaceMark) : text.append(1, c);
  return text;
}

int32_t Vocabulary::find(std::string_view text) const {
  uint64_t key = hash(text);
  uint32_t tag = static_cast<uint32_t>(key >> 32);
  size_t mask = slots_.size() - 1;
  for (size_t at = key & mask; slots_[at].id >= 0; at = (at + 1) & mask)
    if (slots_[at].tag == tag && stored(slots_[at].id) == text) return slots_[at].id;
  return -1;
}

uint8_t Vocabulary::byte_of(int32_t id) const {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'A' + 10; };
  std::string_view text = stored(id);  // "<0x0A>", as index_bytes has checked
  return static_cast<uint8_t>(digit(text[3]) << 4 | digit(text[4]));
}

void Vocabulary::read_pieces(std::string_view raw, size_t count, const int32_t* types) {
  if (count == 0) throw std::invalid_argument("the vocabulary is empty");
  if (count > raw.size() / 8 || raw.size() > UINT32_MAX)
    throw std::invalid_argument("a vocabulary of " + std::to_string(count) + " pieces cannot lie in " +
                                std::to_string(raw.size()) + " bytes");
  blob_.resize(raw.size() - 8 * count);
  begins_.resize(count + 1);
  roles_.resize(count);
  size_t at = 0, end = 0;
  for (size_t id = 0; id < count; ++id) {
    if (raw.size() - at < 8) refuse(id, "lies beyond the end of the table");
    uint64_t length = load(raw.data() + at, 8);
    at += 8;
    if (length > raw.size() - at) refuse(id, "is longer than the table");
    if (length > kMaxPieceBytes) refuse(id, "has " + std::to_string(length) + " bytes; at most 255 are possible");
    if (length > blob_.size() - end) refuse(id, "leaves no room in the table for the pieces after it");
    begins_[id] = static_cast<uint32_t>(end);
    if (types[id] == 1 || types[id] == 4) {  // the space mark becomes one byte
      const char* from = raw.data() + at;
      for (const char* stop = from + length; from < stop;) {
        bool mark = *from == kSpaceMark[0] && stop - from >= 3 && std::memcmp(from, kSpaceMark.data(), 3) == 0;
        blob_[end++] = mark ? ' ' : *from;
        from += mark ? 3 : 1;
      }
    } else {
      std::memcpy(&blob_[end], raw.data() + at, length);
      end += length;
    }
    at += length;
    roles_[id] = role_of(id, types[id], {blob_.data() + begins_[id], end - begins_[id]});
    if (roles_[id] != Role::kUnused && end == begins_[id]) refuse(id, "is empty");
  }
  if (at != raw.size()) throw std::invalid_argument("bytes are left over after the last piece of the vocabulary");
  begins_[count] = static_cast<uint32_t>(end);
  blob_.resize(end);
}

void Vocabulary::index_text(const float* scores, const int32_t* types) {
  size_t capacity = 16;
  while (capacity < 2 * size()) capacity *= 2;
  slots_.assign(capacity, Slot{0, -1});
  chars_.assign(size(), 0);
  orders_.assign(size(), 0);
  for (int32_t id = 0; id < static_cast<int32_t>(size()); ++id) {
    if (roles_[id] == Role::kControl) all_literals_.add(stored(id), id);
    if (roles_[id] != Role::kText) continue;
    if (!std::isfinite(scores[id])) refuse(id, "has a score that is not a number");
    std::string_view text = stored(id);
    orders_[id] = order_of(types[id] == 4 ? 0.0f : scores[id]);  // converters write -1000; the reference merges them first
    chars_[id] = 1;
    for (size_t i = 1; i < text.size(); ++i) {
      if (continues_a_char(text[i])) continue;
      ++chars_[id];
      uint32_t pair = static_cast<uint32_t>(static_cast<uint8_t>(text[i - 1])) << 8 | static_cast<uint8_t>(text[i]);
      joined_[pair >> 6] |= uint64_t{1} << (pair & 63);
    }
    if (text.size() > longest_) longest_ = static_cast<uint32_t>(text.size());
    Char only = char_at(text, 0);
    if (only.bytes == text.size() && only.code < kCommon) common_[only.code] = id;
    if (types[id] == 4) {
      std::string typed = spelling(id);
      text_literals_.add(typed, id);
      all_literals_.add(typed, id);
    }
  }
  fill_slots();
}

// The slots lie all over a few megabytes, so each is asked for some pieces before it is needed: a third of the time.
void Vocabulary::fill_slots() {
  constexpr size_t kAhead = 16;
  std::array<std::pair<int32_t, uint64_t>, kAhead> waiting;
  size_t seen = 0;
  for (int32_t id = 0; id < static_cast<int32_t>(size()); ++id) {
    if (roles_[id] != Role::kText) continue;
    auto& place = waiting[seen % kAhead];
    if (seen++ >= kAhead) insert(place.first, place.second);
    place = {id, hash(stored(id))};
    __builtin_prefetch(&slots_[place.second & (slots_.size() - 1)], 1);
  }
  for (size_t i = seen > kAhead ? seen - kAhead : 0; i < seen; ++i)
    insert(waiting[i % kAhead].first, waiting[i % kAhead].second);
}

void Vocabulary::index_bytes() {
  for (int32_t id = 0; id < static_cast<int32_t>(size()); ++id) {
    if (roles_[id] != Role::kByte) continue;
    auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
    std::string_view text = stored(id);
    if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>' || !is_digit(text[3]) || !is_digit(text[4]))
      refuse(id, "is a byte piece, but not one of <0x00> to <0xFF>");
    int32_t& place = bytes_[byte_of(id)];
    if (place >= 0) refuse(id, "is a byte piece that piece " + std::to_string(place) + " is already");
    place = id;
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (bytes_[byte] >= 0) continue;
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    throw std::invalid_argument(std::string("the vocabulary has no byte piece ") + text);
  }
}

void Vocabulary::insert(int32_t id, uint64_t key) {
  uint32_t tag = static_cast<uint32_t>(key >> 32);
  size_t mask = slots_.size() - 1, at = key & mask;
  for (; slots_[at].id >= 0; at = (at + 1) & mask)
    if (slots_[at].tag == tag && stored(slots_[at].id) == stored(id))
      refuse(id, "is the same as piece " + std::to_string(slots_[at].id));
  slots_[at] = {tag, id};
}

uint64_t Vocabulary::hash(std::string_view text) const {
  const char* p = text.data();
  size_t n = text.size();
  uint64_t state = secret_ ^ n;
  for (; n > 16; p += 8, n -= 8) state = mix(state ^ load(p, 8), secret_ ^ 0x9E3779B97F4A7C15u);
  uint64_t head = 0, tail = 0;
  if (n >= 8) {
    head = load(p, 8), tail = load(p + n - 8, 8);
  } else if (n >= 4) {
    head = load(p, 4), tail = load(p + n - 4, 4);
  } else if (n > 0) {
    head = static_cast<uint64_t>(static_cast<uint8_t>(p[0])) | static_cast<uint64_t>(static_cast<uint8_t>(p[n / 2])) << 8 |
           static_cast<uint64_t>(static_cast<uint8_t>(p[n - 1])) << 16;
  }
  return mix(mix(head ^ state, 0xD6E8FEB86659FD93u) ^ tail, secret_ ^ 0xA0761D6478BD642Fu);
}

}  // namespace gw::text
