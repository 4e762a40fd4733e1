#include "runtime/health/checks_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {
namespace {

void set_seconds(google::protobuf::Duration* duration, const google::protobuf::Duration* declared) {
  if (declared != nullptr && (declared->seconds() != 0 || declared->nanos() != 0))
    *duration = *declared;
  else
    duration->set_seconds(1);
}

const pb::Port* find_port(const pb::ServiceSpec& service, const std::string& name) {
  const auto at = std::find_if(service.ports().begin(), service.ports().end(),
                               [&](const pb::Port& port) { return port.name() == name; });
  return at == service.ports().end() ? nullptr : &*at;
}

// Where consumers reach the port, so that a check sees what they see.
const std::string& address_of(const pb::Port& port, const pb::Node& node) {
  static const std::string kLoopback = "127.0.0.1";
  if (port.exposure() == pb::EXPOSURE_NODE) return kLoopback;
  if (port.exposure() == pb::EXPOSURE_PUBLIC) return node.spec().address();
  return node.spec().mesh_address();
}

std::string type_name(pb::CheckType type) { return type == pb::CHECK_TYPE_HTTP ? "http" : "tcp"; }

}  // namespace

pb::InstanceChecks plan_instance_checks(const Snapshot& snapshot, const pb::Node& node,
                                        const pb::Instance& instance) {
  pb::InstanceChecks out;
  out.set_instance(instance.metadata().name());
  const auto* service = snapshot.find<pb::Service>(instance.spec().service());
  if (service == nullptr) return out;
  for (const pb::Check& check : service->spec().checks()) {
    const pb::Port* port = find_port(service->spec(), check.port());
    if (port == nullptr || address_of(*port, node).empty()) continue;
    auto& probe = *out.add_probes();
    const bool http = check.type() == pb::CHECK_TYPE_HTTP;
    probe.set_type(http ? pb::CHECK_TYPE_HTTP : pb::CHECK_TYPE_TCP);
    probe.set_name(fmt::format("{}/{}", check.port(), type_name(probe.type())));
    probe.set_target(fmt::format("{}:{}", address_of(*port, node), port->port()));
    if (http) probe.set_path(check.path().empty() ? "/" : check.path());
    set_seconds(probe.mutable_interval(), check.has_interval() ? &check.interval() : nullptr);
    set_seconds(probe.mutable_timeout(), check.has_timeout() ? &check.timeout() : nullptr);
    probe.set_rise(check.rise() == 0 ? 1 : check.rise());
    probe.set_fall(check.fall() == 0 ? 2 : check.fall());
  }
  return out;
}

pb::ChecksSection plan_checks(const Snapshot& snapshot, const pb::Node& node) {
  pb::ChecksSection out;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name()))
    *out.add_instances() = plan_instance_checks(snapshot, node, *instance);
  return out;
}

std::vector<std::string> checks_affected(const Snapshot& after, const Resource& before,
                                         const Resource& changed) {
  const Resource& resource = changed ? changed : before;
  std::vector<std::string> out;
  if (resource.kind().name == "Instance") {
    out.push_back(resource.as<pb::Instance>().spec().node());
  } else if (resource.kind().name == "Node") {
    out.push_back(resource.name());
  } else if (resource.kind().name == "Service") {
    for (const auto& instance : after.find_by<pb::Instance>("service", resource.name()))
      out.push_back(instance->spec().node());
  }
  return out;
}

}  // namespace frameworks
