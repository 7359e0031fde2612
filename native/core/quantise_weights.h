// From weights as float files store them to quantised blocks: what optimisation levels are made with.
#pragma once
#include "pack.h"

namespace gw {

// Whether weights stored as `from` can be converted to `to`: from f32, f16, bf16 and q8_0 to f16, bf16, q4_0, q5_0,
// q8_0 and q4_k.
bool can_requantise(int from, int to);

// Converts `count` values, a whole number of blocks of either type, at `data` to blocks of `to` at `out`. Scales are
// searched for the smallest sum of squared errors; sums have a fixed order, so the bits depend on the values alone.
// Returns the place of the first value that is not finite or too large for `to`, or -1: then all were converted.
int64_t requantise(Type from, const uint8_t* data, int64_t count, Type to, uint8_t* out);

// Whether every 32 of the `count` values are one f16 scale times whole numbers -8..7, rounded to `from`, a float type:
// what training with q4_0 in the loop leaves. requantise() to q4_0 then finds those scales and codes.
bool is_on_q4_0_grid(Type from, const uint8_t* data, int64_t count);

}  // namespace gw
