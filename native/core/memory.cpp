#include "memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace gw {
namespace {

constexpr size_t kHeader = 64;            // before each buffer: its size class
constexpr size_t kKeep = 64u << 20;       // bytes of free buffers kept

constexpr size_t kMapped = 1u << 20;      // blocks from here on are the system's own

// Large blocks are mapped one by one: freed into malloc's heap, blocks of many sizes and threads would leave it full of
// holes, and memory would grow for hours.
void* allocate(size_t bytes) {
  void* p = bytes < kMapped ? std::aligned_alloc(64, (bytes + 63) & ~size_t(63))
                            : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!p || p == MAP_FAILED) throw std::bad_alloc();
  return p;
}

void release(void* p, size_t bytes) {
  if (bytes < kMapped) std::free(p);
  else munmap(p, bytes);
}

struct Freed {
  std::mutex gate;
  std::map<size_t, std::vector<void*>> by_size;
  size_t bytes = 0;
};
// Never destroyed: Python may give back its last array after C++ has begun to tear down.
Freed& freed() {
  static Freed& f = *new Freed;
  return f;
}

// Sizes are rounded to an eighth of their power of two, so that similar shapes share blocks.
size_t size_class(size_t bytes) {
  size_t step = 512;
  while (step * 16 <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

}  // namespace

Block map_block(size_t bytes) {
  constexpr size_t huge = 2u << 20, region_bytes = 16u << 20;
  static std::mutex gate;
  static Block& region = *new Block;   // the one small blocks are taken from; never destroyed, like freed()
  static size_t used = 0;
  bytes = (bytes + 63) & ~size_t(63);
  std::lock_guard<std::mutex> hold(gate);
  if (bytes <= region_bytes / 2 && region && bytes <= region_bytes - used) {
    used += bytes;
    return Block(region, (char*)region.get() + used - bytes);
  }
  size_t whole = bytes <= region_bytes / 2 ? region_bytes : (bytes + huge - 1) / huge * huge;
  void* p = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  madvise(p, whole, MADV_HUGEPAGE);    // a hint: without huge pages it is only slower
  Block block(p, [whole](void* q) { munmap(q, whole); });
  if (bytes <= region_bytes / 2) {
    region = block;
    used = bytes;
  }
  return block;
}

void* take_buffer(size_t bytes) {
  size_t size = size_class(bytes ? bytes : 1);
  {
    Freed& f = freed();
    std::lock_guard<std::mutex> hold(f.gate);
    std::vector<void*>& list = f.by_size[size];
    if (!list.empty()) {
      void* p = list.back();
      list.pop_back();
      f.bytes -= size;
      return p;
    }
  }
  char* p = (char*)allocate(size + kHeader);
  *(size_t*)p = size;
  return p + kHeader;
}

void recycle(void* p) {
  char* start = (char*)p - kHeader;
  size_t size = *(size_t*)start;
  {
    Freed& f = freed();
    std::lock_guard<std::mutex> hold(f.gate);
    if (f.bytes + size <= kKeep) {
      f.by_size[size].push_back(p);
      f.bytes += size;
      return;
    }
  }
  release(start, size + kHeader);
}

void* thread_scratch(int thread, size_t bytes) {
  struct Scratch {
    void* p = nullptr;
    size_t size = 0;
  };
  static Scratch all[512 + 8];   // one for each possible thread, and a few for the caller's own uses
  Scratch& s = all[thread];
  if (s.size < bytes) {
    if (s.p) release(s.p, s.size);
    s.p = nullptr;
    s.size = 0;
    s.p = allocate(bytes);
    s.size = bytes;
  }
  return s.p;
}

}  // namespace gw
