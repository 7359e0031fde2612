// The engine's threads: parallel_for over ranges, nothing else.
#pragma once
#include <functional>

namespace gw {

// Called with [begin, end) of the items and the number of the thread, 0 .. threads() - 1.
using Range = std::function<void(int begin, int end, int thread)>;

int threads();
// 1 <= count <= 512. Waits for running work.
void set_threads(int count);
// Runs fn over 0..n in pieces of `grain` on all threads, the caller's included, and returns when all is done.
// One call at a time: concurrent callers wait for each other. fn must not throw and must not call parallel_for.
void parallel_for(int n, int grain, const Range& fn);

// Says what memory will be read next: threads that wait for work ask for it, so that it is near when work comes.
void expect(const void* data);

}  // namespace gw
