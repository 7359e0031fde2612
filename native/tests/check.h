// What the native tests are written with: tests that register themselves, checks that say where they failed, random
// numbers that are the same on every machine.
#pragma once
#include <cstdint>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

#include "../core/dispatch.h"

namespace gw::testing {

using Where = std::source_location;
using Floats = std::vector<float>;

struct Test {
  const char* name;
  void (*run)();
};
std::vector<Test>& tests();
inline bool add_test(const char* name, void (*run)()) { tests().push_back({name, run}); return true; }

// TEST("a sentence that is true") { ... }
#define TEST(sentence) GW_TEST(sentence, __LINE__)
#define GW_TEST(sentence, line) GW_TEST_AT(sentence, line)
#define GW_TEST_AT(sentence, line)                                                                  \
  static void test_##line();                                                                        \
  [[maybe_unused]] static const bool is_added_##line = gw::testing::add_test(sentence, test_##line); \
  static void test_##line()

// Counts a failure and prints `what` unless `ok`; the test goes on. May be called from any thread.
void check(bool ok, const std::string& what, Where where = Where::current());
// NaN equals NaN: which one comes out is the hardware's choice. Everything else is compared bit by bit.
void check_same_bits(const Floats& got, const Floats& expected, const std::string& what, Where where = Where::current());
// Checks that `run` throws std::invalid_argument with a sentence that holds `part`.
template <class F>
void check_refused(F run, const std::string& part, Where where = Where::current()) {
  std::string thrown = "nothing";
  try {
    run();
  } catch (const std::invalid_argument& error) {
    thrown = error.what();
  }
  check(thrown.find(part) != std::string::npos, "expected: " + part + "; thrown: " + thrown, where);
}
int failures();
uint64_t digest();   // of every result that same_on_every_target() has seen: equal on all machines

// SplitMix64 (doi:10.1145/2660193.2660195).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  int below(int n) { return (int)(bits() % (uint64_t)n); }
  float uniform(float low, float high) { return low + (high - low) * (float)(bits() >> 40) / 16777216.0f; }
  float normal() { return uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1); }   // of variance 1, and bounded
  std::vector<float> normals(size_t n);
  std::string bytes(size_t n);

 private:
  uint64_t state_;
};

// Memory of exactly this size, so that a sanitizer sees the first value read or written beyond it.
template <class T>
std::unique_ptr<T[]> exactly(size_t n) { return std::make_unique<T[]>(n); }
template <class T>
std::unique_ptr<T[]> exact_copy(const std::vector<T>& values) {
  std::unique_ptr<T[]> copy(new T[values.size()]);
  for (size_t i = 0; i < values.size(); ++i) copy[i] = values[i];
  return copy;
}

std::vector<std::string> usable_targets();   // of this CPU, scalar first
void add_to_digest(const std::vector<float>& values);
// Checks that compute(kernels) gives the bits of scalar on every usable target; returns them. The best target is in
// use again afterwards.
template <class F>
std::vector<float> same_on_every_target(const std::string& what, F compute, Where where = Where::current()) {
  std::vector<float> scalar;
  for (const std::string& name : usable_targets()) {
    use_target(name);
    std::vector<float> got = compute(kernels());
    if (name == "scalar") scalar = got;
    else check_same_bits(got, scalar, name + ": " + what, where);
  }
  add_to_digest(scalar);
  return scalar;
}

}  // namespace gw::testing
