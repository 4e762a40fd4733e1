#include <map>

#include "base/ip.h"
#include "config/mesh/mesh_plan.h"
#include "frameworks/v1/service.pb.h"

namespace frameworks {
namespace {

std::vector<NodePtr> named_nodes(const Snapshot& snapshot, const MeshTopology& topology,
                                 const pb::Node& node) {
  if (snapshot.count(kind_of<pb::Node>()) <= kNamesOfWholeFleet) return snapshot.list<pb::Node>();
  auto out = topology.neighbours(node);
  out.push_back(std::make_shared<const pb::Node>(node));
  return out;
}

bool reached_from_afar(const pb::Service& service) {
  for (const pb::Port& port : service.spec().ports())
    if (port.exposure() != pb::EXPOSURE_NODE) return true;
  return false;
}

std::vector<std::string> names_of(const Snapshot& snapshot, const pb::Node& node) {
  const std::string& name = node.metadata().name();
  std::vector<std::string> out{name, name + ".mesh"};
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", name)) {
    const auto* service = snapshot.find<pb::Service>(instance->spec().service());
    if (service != nullptr && reached_from_afar(*service))
      out.push_back(instance->spec().service() + "." + node.spec().cluster() + ".mesh");
  }
  return out;
}

}  // namespace

pb::NamesSection plan_names(const Snapshot& snapshot, const pb::Node& node) {
  return plan_names(snapshot, MeshTopology(snapshot, MeshTopology::Nodes::kPlanned), node);
}

pb::NamesSection plan_names(const Snapshot& snapshot, const MeshTopology& planned,
                            const pb::Node& node) {
  // By address, so that the section does not depend on the order of anything.
  std::map<IpAddress, std::vector<std::string>> records;
  for (const NodePtr& other : named_nodes(snapshot, planned, node)) {
    const auto names = names_of(snapshot, *other);
    for (const auto& text : {other->spec().mesh_address(), other->spec().mesh_address6()})
      if (const auto address = IpAddress::parse(text); address) records[*address] = names;
  }
  pb::NamesSection section;
  for (auto& [address, names] : records) {
    pb::NameRecord& record = *section.add_records();
    record.set_address(address.text());
    for (std::string& name : names) record.add_names(std::move(name));
  }
  return section;
}

}  // namespace frameworks
