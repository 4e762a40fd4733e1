#include "machine/network_security/firewall_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/network.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/documents.h"

namespace frameworks {
namespace {

constexpr const char* kFleet = R"(
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: core}
spec: {tier: central, region: eu, networks: {mesh: 10.64.1.0/24, mesh6: "fd00:1::/64"}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: eu-edge}
spec: {tier: edge, region: eu, networks: {mesh: 10.64.2.0/24, mesh6: "fd00:2::/64"}}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: core-1}
spec: {cluster: core, address: 10.99.1.1, sshPort: 2222, meshAddress: 10.64.1.1, meshAddress6: "fd00:1::1"}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: eu-edge-1}
spec: {cluster: eu-edge, address: 10.99.2.1, meshAddress: 10.64.2.1}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: eu-edge-2}
spec: {cluster: eu-edge, address: 10.99.2.2, meshAddress: 10.64.2.2}
---
apiVersion: frameworks/v1
kind: Service
metadata: {name: post-gres}
spec:
  role: postgresql
  ports: [{name: sql, port: 5432}]
  consumers: {services: [media], tiers: [central]}
---
apiVersion: frameworks/v1
kind: Service
metadata: {name: media}
spec:
  role: nginx_rtmp
  ports:
    - {name: rtmp, port: 1935, exposure: public}
    - {name: control, port: 8081, exposure: node}
    - {name: relay, port: 9000, protocol: udp, exposure: mesh}
)";

void put_instance(const std::string& service, const std::string& node, Snapshot& out) {
  pb::Instance instance;
  instance.mutable_metadata()->set_name(service + "." + node);
  instance.mutable_spec()->set_service(service);
  instance.mutable_spec()->set_node(node);
  out.put(Resource::of(std::move(instance)));
}

Snapshot fleet(const std::string& more = "") {
  Snapshot out;
  const auto documents = parse_documents(std::string(kFleet) + more, "test.yaml");
  if (!documents)
    ADD_FAILURE() << documents.error().text();
  else
    for (const Document& document : *documents) out.put(document.resource);
  put_instance("post-gres", "core-1", out);
  put_instance("media", "eu-edge-1", out);
  return out;
}

std::string ruleset(const Snapshot& snapshot, const std::string& node) {
  return plan_firewall(snapshot, *snapshot.find<pb::Node>(node)).ruleset();
}

// The rules between those that every node has and the closing count, a line each.
std::string own_rules(const Snapshot& snapshot, const std::string& node) {
  const std::string text = ruleset(snapshot, node);
  size_t begin = text.find("nd-neighbor-advert");
  begin = text.find('\n', begin) + 1;
  std::string out = text.substr(begin, text.find("\t\tcounter comment \"dropped\"") - begin);
  std::erase(out, '\t');
  return out;
}

std::string rule(const std::string& name, const std::string& spec) {
  return fmt::format(
      "---\napiVersion: frameworks/v1\nkind: FirewallRule\nmetadata: {{name: {}}}\nspec: {{{}}}\n",
      name, spec);
}

TEST(FirewallPlan, IsOneTransactionThatReplacesTheTable) {
  EXPECT_EQ(ruleset(fleet(), "core-1"), R"(table inet frameworks
delete table inet frameworks
table inet frameworks {
	set consumers_post_gres_4 {
		type ipv4_addr
		flags interval
		elements = { 10.64.1.0/24, 10.64.2.1 }
	}
	set consumers_post_gres_6 {
		type ipv6_addr
		flags interval
		elements = { fd00:1::/64 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related counter accept
		ct state invalid counter drop
		iifname "lo" counter accept
		icmp type { destination-unreachable, echo-request, time-exceeded, parameter-problem } counter accept
		icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, mld-listener-query, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } counter accept
		tcp dport 2222 counter accept comment "ssh"
		udp dport 51820 counter accept comment "wireguard"
		iifname "fw0" ip saddr @consumers_post_gres_4 tcp dport 5432 counter accept comment "post-gres/sql"
		iifname "fw0" ip6 saddr @consumers_post_gres_6 tcp dport 5432 counter accept comment "post-gres/sql"
		counter comment "dropped"
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		iifname "fw0" oifname "fw0" counter accept
		counter comment "dropped"
	}
}
)");
}

TEST(FirewallPlan, OpensPublicPortsToEverybodyAndNodePortsToNobody) {
  EXPECT_EQ(own_rules(fleet(), "eu-edge-1"),
            "tcp dport 22 counter accept comment \"ssh\"\n"
            "udp dport 51820 counter accept comment \"wireguard\"\n"
            "tcp dport 1935 counter accept comment \"media/rtmp\"\n");
}

TEST(FirewallPlan, OnlyCentralAndRegionalNodesForward) {
  const std::string forward = "iifname \"fw0\" oifname \"fw0\"";
  EXPECT_NE(ruleset(fleet(), "core-1").find(forward), std::string::npos);
  EXPECT_EQ(ruleset(fleet(), "eu-edge-1").find(forward), std::string::npos);
}

TEST(FirewallPlan, OperatorsRulesComeFirstByPriorityDropsBeforeAccepts) {
  const Snapshot snapshot = fleet(
      rule("z-drop", "action: drop, ports: [22], sources: [203.0.113.0/24, \"2001:db8::/32\"]") +
      rule("a-accept", "ports: [80, 443]") + rule("early", "priority: 5, protocol: udp") +
      rule("elsewhere", "target: {tiers: [central]}, ports: [1]"));
  EXPECT_EQ(
      own_rules(snapshot, "eu-edge-2"),
      "meta l4proto udp counter accept comment \"FirewallRule/early\"\n"
      "ip saddr @sources_z_drop_4 tcp dport 22 counter drop comment \"FirewallRule/z-drop\"\n"
      "ip6 saddr @sources_z_drop_6 tcp dport 22 counter drop comment \"FirewallRule/z-drop\"\n"
      "tcp dport { 80, 443 } counter accept comment \"FirewallRule/a-accept\"\n"
      "tcp dport 22 counter accept comment \"ssh\"\n"
      "udp dport 51820 counter accept comment \"wireguard\"\n");
}

TEST(FirewallPlan, AConsumersAddressInsideAConsumingRangeIsNotNamedTwice) {
  Snapshot snapshot = fleet(R"(---
apiVersion: frameworks/v1
kind: Service
metadata: {name: cache}
spec: {role: redis, ports: [{name: redis, port: 6379}], consumers: {services: [media], tiers: [edge]}}
)");
  put_instance("cache", "core-1", snapshot);
  EXPECT_NE(ruleset(snapshot, "core-1").find("elements = { 10.64.2.0/24 }"), std::string::npos);
}

TEST(ExplainFirewall, CountsTheRulesThatComeAndGo) {
  const Snapshot before = fleet();
  const Snapshot after = fleet(rule("web", "target: {clusters: [eu-edge]}, ports: [443]"));
  const auto steps = explain_firewall(before, after);
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].object(), "Node/eu-edge-1");
  EXPECT_EQ(steps[0].layer(), "machine");
  EXPECT_EQ(steps[0].summary(), "firewall: 1 rule to add, 0 to remove");
  EXPECT_EQ(steps[0].changes(0).after(),
            R"("tcp dport 443 counter accept comment \"FirewallRule/web\"")");
  EXPECT_TRUE(explain_firewall(after, after).empty());
}

Snapshot random_fleet() {
  Snapshot out;
  const auto tiers = {pb::TIER_CENTRAL, pb::TIER_REGIONAL, pb::TIER_EDGE};
  const int services = *rc::gen::inRange(1, 5);
  for (int i = 0; i < services; ++i) {
    pb::Service service;
    service.mutable_metadata()->set_name(fmt::format("s{}", i));
    auto& port = *service.mutable_spec()->add_ports();
    port.set_name("main");
    port.set_port(1000 + i);
    port.set_exposure(*rc::gen::element(pb::EXPOSURE_MESH, pb::EXPOSURE_PUBLIC, pb::EXPOSURE_NODE));
    if (*rc::gen::arbitrary<bool>())
      service.mutable_spec()->mutable_consumers()->add_tiers(
          *rc::gen::elementOf(std::vector<pb::Tier>(tiers)));
    if (*rc::gen::arbitrary<bool>())
      service.mutable_spec()->mutable_consumers()->add_services(
          fmt::format("s{}", *rc::gen::inRange(0, services)));
    out.put(Resource::of(service));
  }
  for (int c = 1; c <= 3; ++c) {
    pb::Cluster cluster;
    cluster.mutable_metadata()->set_name(fmt::format("c{}", c));
    cluster.mutable_spec()->set_tier(*rc::gen::elementOf(std::vector<pb::Tier>(tiers)));
    cluster.mutable_spec()->set_region("eu");
    cluster.mutable_spec()->mutable_networks()->set_mesh(fmt::format("10.64.{}.0/24", c));
    out.put(Resource::of(cluster));
    for (int n = 1; n <= 2; ++n) {
      pb::Node node;
      node.mutable_metadata()->set_name(fmt::format("c{}-{}", c, n));
      node.mutable_spec()->set_cluster(cluster.metadata().name());
      node.mutable_spec()->set_mesh_address(fmt::format("10.64.{}.{}", c, n));
      out.put(Resource::of(node));
      put_instance(fmt::format("s{}", *rc::gen::inRange(0, services)), node.metadata().name(), out);
    }
  }
  pb::FirewallRule extra;
  extra.mutable_metadata()->set_name("extra");
  extra.mutable_spec()->add_ports(77);
  extra.mutable_spec()->mutable_target()->add_clusters("c2");
  out.put(Resource::of(extra));
  return out;
}

RC_GTEST_PROP(FirewallProperty, AffectedNodesIncludeAllWhosePlanChanges, ()) {
  const Snapshot fleet = random_fleet();
  std::vector<Resource> all;
  for (const Kind& kind : all_kinds())
    for (const Resource& resource : fleet.list(kind)) all.push_back(resource);
  const Resource changed = *rc::gen::elementOf(all);
  Snapshot without = fleet;
  without.remove(changed.key());
  const bool created = *rc::gen::arbitrary<bool>();
  const Snapshot& before = created ? without : fleet;
  const Snapshot& after = created ? fleet : without;
  const auto affected =
      created ? firewall_affected(after, {}, changed) : firewall_affected(after, changed, {});
  for (const auto& node : after.list<pb::Node>()) {
    const std::string& name = node->metadata().name();
    if (before.find<pb::Node>(name) == nullptr) {
      RC_ASSERT(affected.contains(name));
    } else if (ruleset(before, name) != ruleset(after, name)) {
      RC_LOG() << changed.key().text() << " on " << name << std::endl;
      RC_ASSERT(affected.contains(name));
    }
  }
}

TEST(FirewallAffected, HeartbeatsAndHealthAffectNobody) {
  const Snapshot snapshot = fleet();
  const Resource before = Resource::of(*snapshot.find<pb::Node>("eu-edge-1"));
  pb::Node node = before.as<pb::Node>();
  node.mutable_status()->mutable_health()->set_state(pb::HEALTH_DOWN);
  EXPECT_TRUE(firewall_affected(snapshot, before, Resource::of(node)).empty());
}

TEST(FirewallAffected, AChangedRuleNamesTheNodesItLeavesAndThoseItReaches) {
  const Snapshot snapshot = fleet();
  pb::FirewallRule rule;
  rule.mutable_metadata()->set_name("moved");
  rule.mutable_spec()->mutable_target()->add_clusters("core");
  const Resource before = Resource::of(rule);
  *rule.mutable_spec()->mutable_target()->mutable_clusters(0) = "eu-edge";
  EXPECT_EQ(firewall_affected(snapshot, before, Resource::of(rule)),
            (std::set<std::string>{"core-1", "eu-edge-1", "eu-edge-2"}));
}

}  // namespace
}  // namespace frameworks
