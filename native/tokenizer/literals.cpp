#include "literals.h"

namespace gw::text {

Literals::Literals() : nodes_(1, Node{0, -1, 0, 0}), first_{} {}

void Literals::add(std::string_view spelling, int32_t id) {
  uint32_t node = 0;
  for (char c : spelling) {
    uint8_t byte = static_cast<uint8_t>(c);
    uint32_t next = child(node, byte);
    if (!next) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back(Node{byte, -1, 0, node ? nodes_[node].first_child : 0});
      (node ? nodes_[node].first_child : first_[byte]) = next;
    }
    node = next;
  }
  if (nodes_[node].id < 0) nodes_[node].id = id;
}

Literals::Match Literals::longest_at(std::string_view text, size_t at) const {
  Match best{-1, 0};
  uint32_t node = 0;
  for (size_t end = at; end < text.size(); ++end) {
    node = child(node, static_cast<uint8_t>(text[end]));
    if (!node) break;
    if (nodes_[node].id >= 0) best = {nodes_[node].id, static_cast<uint32_t>(end + 1 - at)};
  }
  return best;
}

int32_t Literals::find(std::string_view spelling) const {
  Match match = longest_at(spelling, 0);
  return match.bytes == spelling.size() ? match.id : -1;
}

uint32_t Literals::child(uint32_t node, uint8_t byte) const {
  if (!node) return first_[byte];
  uint32_t next = nodes_[node].first_child;
  while (next && nodes_[next].byte != byte) next = nodes_[next].next_sibling;
  return next;
}

}  // namespace gw::text
