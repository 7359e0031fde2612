#include "check.h"

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdio>

namespace gw::testing {

namespace {
std::atomic<int> failed{0};
uint64_t digested = 0xCBF29CE484222325u;
constexpr int kMostShown = 50;   // one defect can fail thousands of checks

bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}
}  // namespace

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void check(bool ok, const std::string& what, Where where) {
  if (ok || ++failed > kMostShown) return;
  std::printf("%s:%u: %s\n", where.file_name(), where.line(), what.c_str());
}

void check_same_bits(const Floats& got, const Floats& expected, const std::string& what, Where where) {
  check(got.size() == expected.size(), what + ": another number of values", where);
  for (size_t i = 0; i < got.size() && i < expected.size(); ++i) {
    if (same(got[i], expected[i])) continue;
    char text[96];
    const float a = got[i], b = expected[i];
    std::snprintf(text, sizeof text, ": value %zu is %.9g (%a), expected %.9g (%a)", i, a, a, b, b);
    return check(false, what + text, where);
  }
}

int failures() { return failed; }
uint64_t digest() { return digested; }

// FNV-1a, a float at a time.
void add_to_digest(const std::vector<float>& values) {
  for (float value : values) {
    uint32_t bits = std::bit_cast<uint32_t>(std::isnan(value) ? NAN : value);
    digested = (digested ^ bits) * 0x100000001B3u;
  }
}

std::vector<float> Random::normals(size_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = normal();
  return values;
}

std::string Random::bytes(size_t n) {
  std::string text(n, '\0');
  for (char& c : text) c = (char)(bits() & 255);
  return text;
}

std::vector<std::string> usable_targets() {
  std::vector<std::string> names;
  for (const TargetInfo& t : targets())
    if (t.supported) names.push_back(t.name);
  return names;
}

}  // namespace gw::testing
