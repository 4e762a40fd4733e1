// One machine. Spec: operators, or the machine layer for nodes of pools. Status: one writer a part,
// named in proto/frameworks/v1/node.proto.
#include <fmt/format.h>

#include "base/ip.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/availability.h"
#include "model/kinds.h"
#include "model/rules.h"
#include "model/snapshot.h"
#include "model/words.h"

namespace frameworks {
namespace {

void defaults(pb::Node& node) {
  pb::NodeSpec& spec = *node.mutable_spec();
  if (spec.ssh_port() == 0) spec.set_ssh_port(22);
  if (spec.ssh_user().empty()) spec.set_ssh_user("root");
  if (spec.wireguard_port() == 0) spec.set_wireguard_port(51820);
  if (spec.availability() == pb::AVAILABILITY_UNSPECIFIED)
    spec.set_availability(pb::AVAILABILITY_ACTIVE);
}

void check_mesh_address(const pb::Node& node, const std::string& address, const std::string& range,
                        const std::string& field, Validation& out) {
  if (address.empty() || range.empty()) return;
  const Result<IpAddress> parsed = IpAddress::parse(address);
  const Result<Cidr> cidr = Cidr::parse(range);
  if (!parsed || !cidr) return;  // the fields' formats say so
  if (!cidr->contains(*parsed))
    out.fail(field, fmt::format("{} is outside {}, the mesh range of cluster \"{}\": choose one "
                                "inside, or leave it out to have one allocated",
                                address, range, node.spec().cluster()));
}

void validate(const pb::Node& node, Validation& out) {
  const pb::NodeSpec& spec = node.spec();
  if (spec.pool().empty() && spec.address().empty())
    out.fail("spec.address", "a node of no pool needs the address of its machine: give it");
  if (!spec.pool().empty() && spec.has_size())
    out.fail("spec.size",
             fmt::format("a node of a pool has the size of pool \"{}\": remove it", spec.pool()));
  const auto* cluster = out.snapshot().find<pb::Cluster>(spec.cluster());
  if (cluster == nullptr) return;
  const pb::ClusterNetworks& networks = cluster->spec().networks();
  check_mesh_address(node, spec.mesh_address(), networks.mesh(), "spec.meshAddress", out);
  check_mesh_address(node, spec.mesh_address6(), networks.mesh6(), "spec.meshAddress6", out);
}

std::string availability(const pb::Node& node) {
  if (takes_work(node)) return {};
  if (node.spec().availability() == pb::AVAILABILITY_MAINTENANCE) return ", in maintenance";
  switch (node.status().drain().state()) {
    case pb::DRAIN_STATE_LEAVING:
    case pb::DRAIN_STATE_WAITING:
      return ", draining";
    case pb::DRAIN_STATE_EXPIRED:
      return ", drain expired";
    default:
      return ", drained";
  }
}

std::string health(const pb::Node& node) {
  const std::string state = word(node.status().health().state());
  return (state.empty() ? "unknown" : state) + availability(node) +
         (node.status().agent().simulated() ? " (simulated)" : "");
}

std::string machine(const pb::Node& node) {
  const std::string state = word(node.status().machine().state());
  return state.empty() ? "-" : state;
}

}  // namespace

Kind node_kind() {
  return make_kind<pb::Node>({
      .defaults = defaults,
      .validate = validate,
      .columns = {{"NAME", [](const auto& n) { return n.metadata().name(); }},
                  {"CLUSTER", [](const auto& n) { return n.spec().cluster(); }},
                  {"ADDRESS", [](const auto& n) { return n.spec().address(); }},
                  {"MESH", [](const auto& n) { return n.spec().mesh_address(); }},
                  {"HEALTH", health},
                  {"REASON", [](const auto& n) { return n.status().health().reason(); }},
                  {"MACHINE", machine}},
      .index =
          [](const auto& n) {
            std::vector<std::pair<std::string, std::string>> out{{"cluster", n.spec().cluster()}};
            if (!n.spec().pool().empty()) out.emplace_back("pool", n.spec().pool());
            if (!n.spec().address().empty()) out.emplace_back("address", n.spec().address());
            return out;
          },
  });
}

}  // namespace frameworks
