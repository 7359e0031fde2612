// What this machine can do at best with the threads and the target in use, by measurement.
#pragma once

namespace gw {

double read_bytes_per_second();        // from memory, all threads together, each its own 256 MiB; throws std::bad_alloc
double multiplications_per_second();   // of int8 dot products on data in the first-level cache, all threads together

}  // namespace gw
