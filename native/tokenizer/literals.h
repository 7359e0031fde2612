// A set of strings that are tokens as they stand, found in raw text: at each place the longest one wins.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gw::text {

class Literals {
 public:
  struct Match {
    int32_t id;
    uint32_t bytes;  // 0: none begins here
  };

  Literals();
  void add(std::string_view spelling, int32_t id);  // spelling is not empty; a repeated one keeps its first id
  Match longest_at(std::string_view text, size_t at) const;
  int32_t find(std::string_view spelling) const;  // -1: not in the set

 private:
  struct Node {  // children are a list of siblings: at most 256, and few in practice
    uint8_t byte;
    int32_t id;
    uint32_t first_child, next_sibling;  // 0: none (the root is nobody's child)
  };
  uint32_t child(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;
  std::array<uint32_t, 256> first_;  // the root's children by byte: most text has none
};

}  // namespace gw::text
