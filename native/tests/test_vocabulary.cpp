// Vocabularies made to harm: lengths, counts, types and scores that cannot be.
#include <cstring>
#include <limits>

#include "vocabulary.h"

using namespace gw;
using namespace gw::testing;

namespace {

Table small_table() {
  Table table;
  table.add_bytes();
  table.add("a", 0.0f, 1);
  table.add("b", 0.0f, 1);
  return table;
}

void set_length(Table& table, size_t at, uint64_t length) { std::memcpy(&table.raw[at], &length, 8); }

// Reads the table; only std::invalid_argument may leave.
void read_quietly(const Table& table) {
  try {
    text::Vocabulary v = table.read();
    for (int32_t id = 0; id < (int32_t)v.size(); ++id) v.spelling(id);
  } catch (const std::invalid_argument&) {
  }
}

}  // namespace

TEST("lengths that leave the table are refused") {
  for (uint64_t length : {uint64_t(7), uint64_t(255), uint64_t(256), uint64_t(1) << 32, ~uint64_t(0), ~uint64_t(7)}) {
    Table table = small_table();
    set_length(table, 0, length);
    check_refused([&] { table.read(); }, "of the vocabulary");
  }
  Table last = small_table();
  set_length(last, last.raw.size() - 9, ~uint64_t(0));
  check_refused([&] { last.read(); }, "piece 257 of the vocabulary is longer than the table");
}

TEST("counts, types, scores and pieces that cannot be are refused") {
  auto refused = [](auto change, const std::string& part) {
    Table table = small_table();
    change(table);
    check_refused([&] { table.read(); }, part);
  };
  refused([](Table& t) { t.scores.clear(); t.types.clear(); }, "the vocabulary is empty");
  refused([](Table& t) { t.scores.resize(2000); t.types.resize(2000); }, "cannot lie in");
  refused([](Table& t) { t.scores.push_back(0); t.types.push_back(1); }, "leaves no room");
  refused([](Table& t) { t.raw += "x"; }, "left over");
  refused([](Table& t) { t.add("a", 0.0f, 1); }, "is the same as piece 256");
  refused([](Table& t) { t.add("", 0.0f, 1); }, "is empty");
  refused([](Table& t) { t.add(std::string(256, 'x'), 0.0f, 1); }, "at most 255");
  refused([](Table& t) { t.add("<0x41>", 0.0f, 6); }, "is already");
  refused([](Table& t) { t.add("<0xZZ>", 0.0f, 6); }, "is a byte piece");
  for (int type : {0, 7, -1, std::numeric_limits<int>::max()})
    refused([&](Table& t) { t.types[256] = type; }, "none of 1 to 6");
  for (float score : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    refused([&](Table& t) { t.scores[257] = score; }, "score that is not a number");
}

TEST("tables with bytes, lengths, types and scores changed at random are read or refused, nothing else") {
  Table sound = lively_table();
  Random random(71);
  for (int i = 0; i < 400; ++i) {
    Table table = sound;
    for (int changes = 1 + random.below(4); changes > 0; --changes) {
      size_t at = random.bits() % (table.raw.size() - 8);
      switch (random.below(5)) {
        case 0: table.raw[at] = (char)(random.bits() & 255); break;
        case 1: set_length(table, at, random.bits() >> random.below(64)); break;
        case 2: table.raw.resize(at + 8); break;
        case 3: table.types[(size_t)random.below((int)table.types.size())] = random.below(9) - 1; break;
        default: table.scores[(size_t)random.below((int)table.scores.size())] = random.uniform(-1e30f, 1e30f);
      }
    }
    read_quietly(table);
  }
}

TEST("tables of random bytes are refused") {
  Random random(72);
  for (int i = 0; i < 200; ++i) {
    Table table;
    table.raw = random.bytes((size_t)random.below(2000));
    size_t count = 1 + (size_t)random.below(40);
    table.scores.assign(count, 0.0f);
    table.types.assign(count, 1 + random.below(6));
    check_refused([&] { table.read(); }, "vocabulary");
  }
}
