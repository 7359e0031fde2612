// Memory of the engine: buffers for results, blocks for weights, scratch of threads.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>

#include "../core/memory.h"
#include "check.h"

using namespace gw;
using namespace gw::testing;

namespace {

bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }
bool holds_only(const unsigned char* p, size_t bytes, int value) {
  return std::all_of(p, p + bytes, [&](unsigned char b) { return b == value; });
}

// Holds a few buffers at a time, each full of a byte of its own, and looks whether anyone else wrote into them.
void take_and_give_back(int caller, int rounds) {
  Random random(100 + caller);
  struct Held { unsigned char* p; size_t bytes; unsigned char mark; };
  std::vector<Held> held;
  for (int i = 0; i < rounds; ++i) {
    if (held.size() == 6) {
      Held old = held[(size_t)random.below(6)];
      check(holds_only(old.p, old.bytes, old.mark), "a buffer was changed by somebody else");
      held.erase(std::find_if(held.begin(), held.end(), [&](const Held& h) { return h.p == old.p; }));
      recycle(old.p);
    }
    size_t bytes = (size_t)random.below(4) == 0 ? (size_t)random.below(3) : (size_t)random.below(100000);
    Held now{(unsigned char*)take_buffer(bytes), bytes, (unsigned char)(caller * 50 + i % 50)};
    check(is_aligned(now.p), "a buffer is not aligned to 64 bytes");
    std::memset(now.p, now.mark, bytes);
    held.push_back(now);
  }
  for (const Held& h : held) recycle(h.p);
}

}  // namespace

TEST("a buffer belongs to one taker at a time, however many threads take and give back") {
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) callers.emplace_back(take_and_give_back, c, 400);
  for (std::thread& caller : callers) caller.join();
}

TEST("a buffer given back in another thread is used again") {
  void* p = take_buffer(12345);
  std::thread([&] { recycle(p); }).join();
  void* again = take_buffer(12300);   // of the same size class
  check(again == p, "a free buffer of the right size was not used");
  recycle(again);
}

TEST("more than the kept amount is freed and can be taken again") {
  std::vector<void*> all;
  for (int i = 0; i < 5; ++i) all.push_back(take_buffer(20u << 20));
  for (void* p : all) recycle(p);
  void* p = take_buffer(20u << 20);
  std::memset(p, 1, 20u << 20);
  recycle(p);
}

TEST("blocks are zeroed, aligned and disjoint, from any thread, and live as long as one part of their region") {
  constexpr int kBlocks = 40;
  std::vector<Block> blocks(2 * kBlocks);
  auto fill = [&](int first) {
    for (int i = first; i < first + kBlocks; ++i) {
      size_t bytes = 1000 + 37 * (size_t)i;
      blocks[i] = map_block(bytes);
      unsigned char* p = (unsigned char*)blocks[i].get();
      check(is_aligned(p) && holds_only(p, bytes, 0), "a block is not zeroed or not aligned");
      std::memset(p, i + 1, bytes);
    }
  };
  std::thread other(fill, kBlocks);
  fill(0);
  other.join();
  for (int i = 0; i < 2 * kBlocks; i += 2) blocks[i].reset();
  for (int i = 1; i < 2 * kBlocks; i += 2) {
    const unsigned char* p = (const unsigned char*)blocks[i].get();
    check(holds_only(p, 1000 + 37 * (size_t)i, i + 1), "a block lost what was written");
  }
  Block large = map_block(9u << 20);   // beyond what shares a region
  ((char*)large.get())[(9u << 20) - 1] = 1;
}

TEST("scratch grows and keeps apart what threads hold") {
  std::memset(thread_scratch(7, 100), 1, 100);
  std::memset(thread_scratch(8, 200), 2, 200);
  check(*(char*)thread_scratch(7, 50) == 1, "a smaller request lost the scratch");
  std::memset(thread_scratch(7, 100000), 3, 100000);
  check(*(char*)thread_scratch(8, 200) == 2, "another thread's scratch was changed");
}
