// Which targets exist here, and which is used.
#include "check.h"

using namespace gw;
using namespace gw::testing;

TEST("the targets are those of this architecture, scalar first and always usable") {
#if defined(__x86_64__)
  const std::vector<std::string> expected = {"scalar", "avx2", "avx512", "avx512vnni"};
#elif defined(__aarch64__)
  const std::vector<std::string> expected = {"scalar", "neon", "neondot"};
#else
  const std::vector<std::string> expected = {"scalar"};
#endif
  std::vector<TargetInfo> all = targets();
  check(all.size() == expected.size(), "another number of targets");
  for (size_t i = 0; i < all.size() && i < expected.size(); ++i)
    check(all[i].name == expected[i], std::string("a target named ") + all[i].name);
  check(all[0].supported, "scalar is not usable");
}

TEST("a target is used by its name, and its table carries it") {
  for (const std::string& name : usable_targets()) {
    use_target(name);
    check(kernels().name == name, "another target is used than " + name);
  }
}

TEST("a target that does not exist or cannot run here is refused, and the one in use stays") {
  std::string best = usable_targets().back();
  use_target(best);
  check_refused([] { use_target("mmx"); }, "There is no CPU target 'mmx'; the targets are scalar");
  for (const TargetInfo& t : targets())
    if (!t.supported) check_refused([&] { use_target(t.name); }, std::string("cannot run the target '") + t.name + "'");
  check(kernels().name == best, "a refused target changed the one in use");
}
