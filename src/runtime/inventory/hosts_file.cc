#include <fmt/format.h>

#include <iterator>

#include "runtime/inventory/formats.h"

namespace frameworks {
namespace {

bool reached_from_afar(const pb::Service& service) {
  for (const pb::Port& port : service.spec().ports())
    if (port.exposure() != pb::EXPOSURE_NODE) return true;
  return false;
}

}  // namespace

std::string hosts_file_text(const Snapshot& snapshot, const std::vector<Host>& hosts,
                            Revision revision) {
  std::string out =
      fmt::format("# FrameWorks fleet, revision {}: addresses inside the mesh\n", revision);
  for (const Host& host : hosts) {
    const pb::NodeSpec& spec = host.node->spec();
    const std::string& name = host.node->metadata().name();
    std::string names = fmt::format("{} {}.mesh", name, name);
    for (const auto& instance : host.instances) {
      const auto* service = snapshot.find<pb::Service>(instance->spec().service());
      if (service != nullptr && reached_from_afar(*service))
        fmt::format_to(std::back_inserter(names), " {}.{}.mesh", instance->spec().service(),
                       spec.cluster());
    }
    for (const std::string& address : {spec.mesh_address(), spec.mesh_address6()})
      if (!address.empty()) fmt::format_to(std::back_inserter(out), "{} {}\n", address, names);
  }
  return out;
}

}  // namespace frameworks
