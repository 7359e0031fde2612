// The thread pool: every item once, whoever calls, whatever changes meanwhile.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "../core/pool.h"
#include "check.h"

using namespace gw;
using namespace gw::testing;

namespace {

// True when each of n items is handed out once, in pieces of at most `grain`, to a thread that exists.
bool covers(int n, int grain, int most_threads) {
  auto seen = exactly<std::atomic<int>>(n);
  std::atomic<bool> ok{true};
  parallel_for(n, grain, [&](int begin, int end, int thread) {
    if (begin < 0 || end > n || begin >= end || thread < 0 || thread >= most_threads) { ok = false; return; }
    for (int i = begin; i < end; ++i) seen[i].fetch_add(1, std::memory_order_relaxed);
  });
  return ok && std::all_of(seen.get(), seen.get() + n, [](const std::atomic<int>& count) { return count == 1; });
}

// True when two threads are at work at the same time: each of two pieces waits for the other to begin.
bool have_company() {
  std::atomic<int> begun{0};
  std::atomic<bool> is_alone{false};
  parallel_for(2, 1, [&](int, int, int) {
    ++begun;
    auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (begun < 2 && !is_alone) {
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() > patience) is_alone = true;
    }
  });
  return !is_alone;
}

}  // namespace

TEST("every item is worked on once, for any number of items, piece size and threads") {
  for (int count : {1, 2, 3, 8}) {
    set_threads(count);
    check(threads() == count, "another number of threads than asked for");
    for (int n : {0, 1, 2, 7, 100, 1000})
      for (int grain : {1, 3, 64, 2000})
        check(covers(n, grain, count), std::to_string(n) + " items in pieces of " + std::to_string(grain) + " on " +
                                           std::to_string(count) + " threads");
  }
}

TEST("what the pieces write is there for the caller, and what the caller wrote before is there for the pieces") {
  set_threads(4);
  std::vector<int> values(512);   // plain memory: a missing synchronisation is a data race here
  for (int round = 1; round <= 300; ++round) {
    int add = round;
    parallel_for(512, 8, [&](int begin, int end, int) { for (int i = begin; i < end; ++i) values[i] += add; });
    auto is_right = [&](int value) { return value == round * (round + 1) / 2; };
    check(std::all_of(values.begin(), values.end(), is_right), "a piece is missing or was seen late");
  }
}

TEST("callers take turns and the number of threads may change under them") {
  std::atomic<bool> stop{false};
  std::thread changer([&] { for (int i = 0; !stop; ++i) set_threads(1 + i % 5); });
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([] {
      for (int i = 0; i < 300; ++i) check(covers(1 + i * 3, 1 + i % 5, 5), "an item missing, twice, or on a strange thread");
    });
  for (std::thread& caller : callers) caller.join();
  stop = true;
  changer.join();
  set_threads(2);
}

TEST("a forked child has a pool of its own and the parent keeps its") {
  set_threads(3);
  check(covers(100, 1, 3), "before the fork");
  for (int i = 0; i < 5; ++i) {
    pid_t child = fork();
    if (child == 0) {
      bool is_right = covers(100, 1, 3) && have_company();
      set_threads(2);
      _exit(is_right && covers(100, 1, 2) && have_company() ? 0 : 1);
    }
    int status = -1;
    bool is_ended = waitpid(child, &status, 0) == child && WIFEXITED(status);
    check(is_ended && WEXITSTATUS(status) == 0, "the child could not compute");
    check(covers(100, 1, 3), "the parent after the fork");
  }
}
