// Memory of the engine: scratch that is kept between calls, and large blocks on huge pages.
#pragma once
#include <cstddef>
#include <memory>

namespace gw {

using Block = std::shared_ptr<void>;

// `bytes` of zeroed memory, aligned to 64, on huge pages where the system gives them. Throws std::bad_alloc.
// Small blocks share a region, because a huge page of its own for each would double a small model's memory.
Block map_block(size_t bytes);

// At least `bytes` of uninitialised memory aligned to 64, for results handed to Python; give it back with recycle().
// Freed blocks are kept for the next call of that size class, up to a bound.
void* take_buffer(size_t bytes);
void recycle(void* p);

// Scratch of one thread of the pool (or one named use by the caller), at least `bytes`, valid until the next call
// with the same number. Only the thread that holds that number may use it.
void* thread_scratch(int thread, size_t bytes);

}  // namespace gw
