// Which CPU targets exist, which this CPU can run, and which one is in use.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace gw {

struct TargetInfo {
  const char* name;
  bool supported;
};

std::vector<TargetInfo> targets();   // best last
const Kernels& kernels();            // the table in use; the best supported one until use_target
// Throws std::invalid_argument for a name that does not exist or that this CPU cannot run.
void use_target(const std::string& name);

}  // namespace gw
