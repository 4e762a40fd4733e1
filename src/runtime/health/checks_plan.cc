#include "runtime/health/checks_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/words.h"

#include "runtime/orchestration/drain_step.h"

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

bool needs_port(pb::CheckType type) {
  return type != pb::CHECK_TYPE_COMMAND && type != pb::CHECK_TYPE_PASSIVE;
}

pb::CheckType type_of(const pb::Check& check) {
  return check.type() == pb::CHECK_TYPE_UNSPECIFIED ? pb::CHECK_TYPE_TCP : check.type();
}

std::string name_of(const pb::Check& check) {
  if (!check.name().empty()) return check.name();
  // Several checks of one port differ in their type.
  if (needs_port(type_of(check))) return fmt::format("{}/{}", check.port(), word(type_of(check)));
  return check.port().empty() ? word(type_of(check)) : check.port();
}

std::string target_of(const std::string& address, int port) {
  const bool is_v6 = address.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

void fill_probe(const pb::Check& check, const std::string& target,
                pb::InstanceChecks::Probe& probe) {
  const pb::CheckType type = type_of(check);
  probe.set_type(type);
  probe.set_name(name_of(check));
  probe.set_target(target);
  if (type == pb::CHECK_TYPE_HTTP) probe.set_path(check.path().empty() ? "/" : check.path());
  if (type == pb::CHECK_TYPE_COMMAND) *probe.mutable_command() = check.command();
  if (type == pb::CHECK_TYPE_GRPC) probe.set_grpc_service(check.grpc_service());
  set_seconds(probe.mutable_interval(), check.has_interval() ? &check.interval() : nullptr);
  set_seconds(probe.mutable_timeout(), check.has_timeout() ? &check.timeout() : nullptr);
  probe.set_rise(check.rise() == 0 ? 1 : check.rise());
  probe.set_fall(check.fall() == 0 ? 2 : check.fall());
  probe.set_severity(check.severity());
}

bool is_seen_from_outside(const pb::Service& service) {
  return std::any_of(service.spec().checks().begin(), service.spec().checks().end(),
                     [](const pb::Check& check) { return check.from_other_regions(); });
}

bool any_seen_from_outside(const Snapshot& snapshot) {
  const auto services = snapshot.list<pb::Service>();
  return std::any_of(services.begin(), services.end(),
                     [](const auto& service) { return is_seen_from_outside(*service); });
}

constexpr size_t kObservers = 2;

// Joined nodes of every region, in order of cluster and name.
using Regions = std::map<std::string, std::vector<std::string>>;

Regions joined_by_region(const Snapshot& snapshot) {
  Regions out;
  for (const auto& cluster : snapshot.list<pb::Cluster>())
    for (const auto& node : snapshot.find_by<pb::Node>("cluster", cluster->metadata().name()))
      if (node->status().agent().has_join_time())
        out[cluster->spec().region()].push_back(node->metadata().name());
  return out;
}

std::string region_of(const Snapshot& snapshot, const std::string& node) {
  const auto* found = snapshot.find<pb::Node>(node);
  if (found == nullptr) return {};
  const auto* cluster = snapshot.find<pb::Cluster>(found->spec().cluster());
  return cluster == nullptr ? std::string() : cluster->spec().region();
}

// FNV-1a: every server finds the same.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

std::vector<std::string> observers_of(const Snapshot& snapshot, const pb::Instance& instance,
                                      const Regions& regions) {
  const std::string own = region_of(snapshot, instance.spec().node());
  std::vector<const std::vector<std::string>*> others;
  for (const auto& [region, nodes] : regions)
    if (region != own) others.push_back(&nodes);
  std::vector<std::string> out;
  const uint64_t hash = hash_of(instance.metadata().name());
  for (size_t i = 0; i < std::min(others.size(), kObservers); ++i) {
    const auto& nodes = *others[(hash + i) % others.size()];
    out.push_back(nodes[(hash / 7) % nodes.size()]);
  }
  return out;
}

pb::InstanceChecks outside_checks(const Snapshot& snapshot, const pb::Instance& instance) {
  pb::InstanceChecks out;
  out.set_instance(instance.metadata().name());
  out.set_from_outside(true);
  const auto* service = snapshot.find<pb::Service>(instance.spec().service());
  const auto* node = snapshot.find<pb::Node>(instance.spec().node());
  if (service == nullptr || node == nullptr || node->spec().address().empty()) return out;
  for (const pb::Check& check : service->spec().checks()) {
    const pb::Port* port = find_port(service->spec(), check.port());
    if (!check.from_other_regions() || !needs_port(type_of(check)) || port == nullptr ||
        port->exposure() != pb::EXPOSURE_PUBLIC)
      continue;
    fill_probe(check, target_of(node->spec().address(), port->port()), *out.add_probes());
  }
  return out;
}

// Instances that others look at, with who does.
void add_outside(const Snapshot& snapshot, const pb::Node& observer, pb::ChecksSection& out) {
  if (!any_seen_from_outside(snapshot)) return;
  const Regions regions = joined_by_region(snapshot);
  for (const auto& service : snapshot.list<pb::Service>()) {
    if (!is_seen_from_outside(*service)) continue;
    for (const auto& instance :
         snapshot.find_by<pb::Instance>("service", service->metadata().name())) {
      const auto observers = observers_of(snapshot, *instance, regions);
      if (std::find(observers.begin(), observers.end(), observer.metadata().name()) ==
          observers.end())
        continue;
      pb::InstanceChecks checks = outside_checks(snapshot, *instance);
      if (checks.probes_size() > 0) *out.add_instances() = std::move(checks);
    }
  }
}

}  // namespace

pb::InstanceChecks plan_instance_checks(const Snapshot& snapshot, const pb::Node& node,
                                        const pb::Instance& instance) {
  pb::InstanceChecks out;
  out.set_instance(instance.metadata().name());
  const auto* service = snapshot.find<pb::Service>(instance.spec().service());
  if (service == nullptr) return out;
  out.set_sessions(sessions_source(*service, node));
  for (const pb::Check& check : service->spec().checks()) {
    std::string target;
    if (needs_port(type_of(check))) {
      const pb::Port* port = find_port(service->spec(), check.port());
      if (port == nullptr || address_of(*port, node).empty()) continue;
      target = target_of(address_of(*port, node), port->port());
    }
    fill_probe(check, target, *out.add_probes());
  }
  return out;
}

pb::InstanceChecks plan_outside_checks(const Snapshot& snapshot, const pb::Node& observer,
                                       const pb::Instance& instance) {
  const auto* service = snapshot.find<pb::Service>(instance.spec().service());
  if (service == nullptr || !is_seen_from_outside(*service)) return {};
  const auto observers = observers_of(snapshot, instance, joined_by_region(snapshot));
  const bool looks =
      std::find(observers.begin(), observers.end(), observer.metadata().name()) != observers.end();
  return looks ? outside_checks(snapshot, instance) : pb::InstanceChecks();
}

pb::ChecksSection plan_checks(const Snapshot& snapshot, const pb::Node& node) {
  pb::ChecksSection out;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name()))
    *out.add_instances() = plan_instance_checks(snapshot, node, *instance);
  add_outside(snapshot, node, out);
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

std::vector<std::string> outside_affected(const Snapshot& after, const Resource& before,
                                          const Resource& changed) {
  const Resource& resource = changed ? changed : before;
  const std::string& kind = resource.kind().name;
  if (kind != "Node" && kind != "Instance" && kind != "Service" && kind != "Cluster") return {};
  const bool was = kind == "Service" && before && is_seen_from_outside(before.as<pb::Service>());
  if (!was && !any_seen_from_outside(after)) return {};
  std::vector<std::string> out;
  for (const auto& node : after.list<pb::Node>()) out.push_back(node->metadata().name());
  return out;
}

}  // namespace frameworks
