#include "target.h"

#include <algorithm>

namespace frameworks {

const std::vector<FuzzTarget>& fuzz_targets() {
  static const std::vector<FuzzTarget> kTargets = [] {
    std::vector<FuzzTarget> out;
    add_access_targets(out);
    add_agent_targets(out);
    add_http_targets(out);
    add_model_targets(out);
    add_openid_targets(out);
    add_probe_targets(out);
    add_store_targets(out);
    add_text_targets(out);
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
  }();
  return kTargets;
}

}  // namespace frameworks
