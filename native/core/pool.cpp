#include "pool.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace gw {
namespace {

#if defined(__x86_64__)
inline void relax() { __builtin_ia32_pause(); }
#else
inline void relax() { asm volatile("yield"); }
#endif

// Pauses a worker spends waiting for the next piece of a forward pass before it sleeps: some tens of microseconds, by
// the length of a pause on current CPUs; not tuned.
constexpr int kSpins = 2000;

// What waiting threads ask for, at most so many bytes after what was named last: they fit into a second-level cache.
constexpr size_t kExpected = 384 << 10, kAsked = 256;
std::atomic<const char*> expected{nullptr};
std::atomic<size_t> asked{kExpected};

inline void ask_for_expected() {
  if (asked.load(std::memory_order_relaxed) >= kExpected) return relax();
  size_t at = asked.fetch_add(kAsked, std::memory_order_relaxed);
  if (at >= kExpected) return;
  const char* from = expected.load(std::memory_order_relaxed) + at;
  for (size_t line = 0; line < kAsked; line += 64) __builtin_prefetch(from + line);   // of no effect where nothing is mapped
}

// A round of work is open from run() until the caller finds no piece left. A worker that wakes in time joins it; one
// that does not is not waited for, so a small job never costs the time it takes to wake a thread, and a busy machine
// slows us down only by what it takes.
class Pool {
 public:
  explicit Pool(int count) : owner_(getpid()) {
    for (int i = 1; i < count; ++i) workers_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    stop_ = true;
    wake();
    for (std::thread& w : workers_) w.join();
  }

  int size() const { return (int)workers_.size() + 1; }
  pid_t owner() const { return owner_; }

  void run(int n, int grain, const Range& fn) {
    n_ = n;
    grain_ = grain;
    fn_ = &fn;
    next_.store(0, std::memory_order_relaxed);
    left_.store(0, std::memory_order_relaxed);
    joined_.store(kOpen, std::memory_order_release);      // publishes all of the above
    wake();
    take(0);
    int joined = joined_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
    int spins = 0;
    for (int left; (left = left_.load(std::memory_order_acquire)) != joined;)
      if (++spins < kSpins) relax();
      else left_.wait(left, std::memory_order_acquire);   // more threads than processors: let them run
  }

 private:
  static constexpr int kOpen = 1 << 30;

  void wake() {
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }

  bool join_round() {
    int joined = joined_.load(std::memory_order_relaxed);
    while (joined & kOpen)
      if (joined_.compare_exchange_weak(joined, joined + 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  void take(int thread) {
    for (;;) {
      int begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= n_) return;
      (*fn_)(begin, std::min(begin + grain_, n_), thread);
    }
  }

  void work(int thread) {
    unsigned seen = 0;
    for (;;) {
      unsigned round;
      for (int spins = 0; (round = round_.load(std::memory_order_acquire)) == seen; ++spins) {
        if (spins < kSpins) ask_for_expected();
        else round_.wait(seen, std::memory_order_acquire);
      }
      seen = round;
      if (stop_) return;
      if (!join_round()) continue;
      take(thread);
      left_.fetch_add(1, std::memory_order_release);
      left_.notify_one();
    }
  }

  pid_t owner_;
  std::vector<std::thread> workers_;
  std::atomic<unsigned> round_{0};
  std::atomic<int> next_{0};       // first item nobody has taken
  std::atomic<int> joined_{0};     // workers in this round, and whether more may join
  std::atomic<int> left_{0};       // of those, how many are done
  std::atomic<bool> stop_{false};
  int n_ = 0, grain_ = 1;
  const Range* fn_ = nullptr;
};

std::mutex gate;   // one parallel_for at a time; also guards `pool`
// Not destroyed at exit: the system ends the threads, and in a forked child they do not exist to be joined.
Pool* pool = nullptr;
std::atomic<int> wanted{1};

// In a child process the threads are the parent's: the copy of their owner is useless, and is left alone.
void forget_after_fork() {
  if (pool && pool->owner() != getpid()) pool = nullptr;
}

}  // namespace

int threads() { return wanted.load(); }

void set_threads(int count) {
  std::lock_guard<std::mutex> hold(gate);
  wanted = count;
  forget_after_fork();
  if (!pool || pool->size() == count) return;
  delete pool;
  pool = nullptr;
}

void expect(const void* data) {
  expected.store((const char*)data, std::memory_order_relaxed);
  asked.store(0, std::memory_order_relaxed);
}

void parallel_for(int n, int grain, const Range& fn) {
  if (n <= 0) return;
  std::lock_guard<std::mutex> hold(gate);
  if (n <= grain || wanted == 1) return fn(0, n, 0);
  forget_after_fork();
  if (!pool) pool = new Pool(wanted);
  pool->run(n, grain, fn);
}

}  // namespace gw
