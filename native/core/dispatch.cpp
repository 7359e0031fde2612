#include "dispatch.h"

#include <atomic>
#include <stdexcept>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace gw {
namespace {

struct Entry {
  const char* name;
  const Kernels& (*table)();
  bool (*supported)();
};

const Entry kEntries[] = {
    {"scalar", kernels_scalar, [] { return true; }},
#if defined(__x86_64__)
    {"avx2", kernels_avx2, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"); }},
    {"avx512", kernels_avx512,
     [] {
#ifdef GW_EMULATE_AVX512
       return kEntries[1].supported();
#endif
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("f16c");
     }},
    {"avx512vnni", kernels_avx512vnni,
     [] {
#ifdef GW_EMULATE_AVX512
       return kEntries[1].supported();
#endif
       return kEntries[2].supported() && __builtin_cpu_supports("avx512vnni");
     }},
#elif defined(__aarch64__)
    {"neon", kernels_neon, [] { return true; }},   // part of the architecture
    {"neondot", kernels_neondot, [] { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }},
#endif
};

std::atomic<const Kernels*> active{nullptr};

}  // namespace

std::vector<TargetInfo> targets() {
  std::vector<TargetInfo> all;
  for (const Entry& e : kEntries) all.push_back({e.name, e.supported()});
  return all;
}

const Kernels& kernels() {
  const Kernels* table = active.load();
  if (table) return *table;
  for (const Entry& e : kEntries)
    if (e.supported()) table = &e.table();
  active = table;
  return *table;
}

void use_target(const std::string& name) {
  std::string known;
  for (const Entry& e : kEntries) {
    if (name == e.name) {
      if (!e.supported()) throw std::invalid_argument("This CPU cannot run the target '" + name + "'");
      active = &e.table();
      return;
    }
    known += known.empty() ? e.name : std::string(", ") + e.name;
  }
  throw std::invalid_argument("There is no CPU target '" + name + "'; the targets are " + known);
}

}  // namespace gw
