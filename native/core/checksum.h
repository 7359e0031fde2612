// A checksum that keeps up with memory: for finding damage in files of our own, not for telling forgeries apart.
#pragma once
#include <cstddef>
#include <cstdint>

namespace gw {

// Of `bytes` bytes; the same for any number of threads. A change confined to one aligned 8-byte word always changes it,
// others do but for one in 2^64.
uint64_t checksum(const uint8_t* data, size_t bytes);

}  // namespace gw
