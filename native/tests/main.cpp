// native_tests [WORDS] [--skip WORDS]   runs the tests whose name contains WORDS and not the words to skip; exit status
//                                       1 when a check failed or there was no test
// native_tests --target                 prints the target this CPU uses, the best one
#include <chrono>
#include <cstdio>
#include <cstring>

#include "check.h"

using gw::testing::failures;

static void run(const gw::testing::Test& test) {
  auto begin = std::chrono::steady_clock::now();
  int before = failures();
  test.run();
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("%s  %6.2f s  %s\n", failures() == before ? "ok    " : "FAILED", seconds.count(), test.name);
  std::fflush(stdout);   // what a crash would lose
}

int main(int count, char** arguments) {
  std::string wanted, skipped;
  for (int i = 1; i < count; ++i) {
    if (!std::strcmp(arguments[i], "--target")) return std::puts(gw::kernels().name) < 0;
    if (!std::strcmp(arguments[i], "--skip") && i + 1 < count) skipped = arguments[++i];
    else wanted = arguments[i];
  }
  int ran = 0;
  for (const gw::testing::Test& test : gw::testing::tests()) {
    if (!std::strstr(test.name, wanted.c_str())) continue;
    if (!skipped.empty() && std::strstr(test.name, skipped.c_str())) {
      std::printf("skipped           %s\n", test.name);
      continue;
    }
    run(test);
    ++ran;
  }
  std::string targets;
  for (const std::string& name : gw::testing::usable_targets()) targets += " " + name;
  std::printf("%d tests, %d failed checks; targets:%s\n", ran, failures(), targets.c_str());
  std::printf("digest of all results: %016llx\n", (unsigned long long)gw::testing::digest());
  return failures() || ran == 0;
}
