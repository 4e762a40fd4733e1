#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/validate.h"

namespace frameworks {
namespace {

const std::string kTestdata = FW_TESTDATA;

Snapshot fleet_of(std::string_view yaml) {
  auto documents = parse_documents(yaml, "fleet.yaml");
  CHECK(documents);
  Snapshot out;
  for (const Document& document : *documents) out.put(with_defaults(document.resource));
  return out;
}

constexpr std::string_view kCluster = R"(
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: core}
spec: {tier: central, region: eu-west, networks: {mesh: 10.64.1.0/24}}
---
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: core, tenant: acme}
spec: {cluster: core}
)";

// Every file of testdata/invalid beside the text of its violations. FW_ACCEPT=1 writes the texts
// anew, to be read before they are committed.
TEST(Validation, TellsEveryViolationWithFileLineFieldAndNextStep) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kTestdata + "/invalid")) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    const auto fleet = check_fleet({entry.path().string()});
    ASSERT_FALSE(fleet) << entry.path();
    std::string text;
    for (Violation violation : fleet.error().violations()) {
      for (std::string* part : {&violation.file, &violation.message}) {
        const std::string folder = kTestdata + "/invalid/";
        if (const size_t at = part->find(folder); at != std::string::npos)
          part->erase(at, folder.size());
      }
      text += violation.text() + "\n";
    }
    std::filesystem::path expected = entry.path();
    expected.replace_extension(".txt");
    if (std::getenv("FW_ACCEPT")) (void)write_file(expected, text);
    EXPECT_EQ(text, read_file(expected).value_or("(no such file)")) << expected;
  }
  EXPECT_GE(files, 10);
}

TEST(Validation, PassesAFleetThatIsInOrder) {
  const auto fleet = check_fleet({kTestdata + "/valid"});
  EXPECT_TRUE(fleet) << fleet.error().text();
}

TEST(Validation, RefusesToChangeWhatIsImmutable) {
  const Snapshot before = fleet_of(kCluster);
  Snapshot after = before;
  pb::Cluster cluster = *before.find<pb::Cluster>("core");
  cluster.mutable_spec()->set_tier(pb::TIER_EDGE);
  cluster.mutable_spec()->mutable_networks()->set_mesh("10.64.9.0/24");
  after.put(Resource::of(cluster));
  const std::vector<ResourceKey> changed{{"Cluster", "", "core"}};
  const Status status = validate_fleet(after, changed, {}, &before);
  ASSERT_FALSE(status);
  EXPECT_EQ(
      status.error().text(),
      "2 violations\n"
      "Cluster/core: spec.tier: cannot change from \"central\" to \"edge\": delete the resource "
      "and create it anew\n"
      "Cluster/core: spec.networks.mesh: cannot change from \"10.64.1.0/24\" to "
      "\"10.64.9.0/24\": delete the resource and create it anew");
}

TEST(Validation, RefusesToRemoveWhatIsStillUsed) {
  const Snapshot before = fleet_of(kCluster);
  Snapshot after = before;
  after.remove({"Cluster", "", "core"});
  after.remove({"Tenant", "", "acme"});
  const std::vector<ResourceKey> changed{{"Cluster", "", "core"}, {"Tenant", "", "acme"}};
  const Status status = validate_fleet(after, changed, {}, &before);
  ASSERT_FALSE(status);
  EXPECT_EQ(
      status.error().text(),
      "2 violations\n"
      "Cluster/core: is still used by Grant/acme/core (spec.cluster): change or delete it first\n"
      "Tenant/acme: is still used by Grant/acme/core: change or delete it first");
  after.remove({"Grant", "acme", "core"});
  EXPECT_TRUE(validate_fleet(after, changed, {}, &before));
}

TEST(Validation, LeavesWhatDidNotChangeAlone) {
  Snapshot fleet = fleet_of(kCluster);
  pb::Cluster broken;
  broken.mutable_metadata()->set_name("broken");
  fleet.put(Resource::of(broken));
  const std::vector<ResourceKey> changed{{"Tenant", "", "acme"}};
  EXPECT_TRUE(validate_fleet(fleet, changed));
}

TEST(Validation, FindsAPortThatOnlyANewClusterBringsTogether) {
  const Snapshot fleet = fleet_of(R"(
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: core}
spec: {tier: central, region: eu-west, networks: {mesh: 10.64.1.0/24}}
---
apiVersion: frameworks/v1
kind: Service
metadata: {name: a}
spec: {role: a, placement: {clusters: [core]}, ports: [{name: x, port: 80}]}
---
apiVersion: frameworks/v1
kind: Service
metadata: {name: b}
spec: {role: b, placement: {tiers: [central]}, ports: [{name: x, port: 80}]}
)");
  const std::vector<ResourceKey> changed{{"Cluster", "", "core"}};
  const Status status = validate_fleet(fleet, changed);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().text(),
            "Service/a: spec.ports[0].port: tcp 80 is taken by Service/b on nodes of Cluster/core "
            "already: change the port or the placement");
}

TEST(Validation, OfTenThousandTenantsAndServicesIsNotQuadratic) {
  Snapshot fleet;
  std::vector<ResourceKey> changed;
  const auto put = [&](Resource resource) {
    changed.push_back(resource.key());
    fleet.put(with_defaults(resource));
  };
  for (int i = 0; i < 5000; ++i) {
    pb::Cluster cluster;
    cluster.mutable_metadata()->set_name("c" + std::to_string(i));
    cluster.mutable_spec()->set_tier(pb::TIER_EDGE);
    cluster.mutable_spec()->set_region("r" + std::to_string(i % 50));
    cluster.mutable_spec()->mutable_networks()->set_mesh("10." + std::to_string(i / 256) + "." +
                                                         std::to_string(i % 256) + ".0/24");
    put(Resource::of(cluster));
    pb::Service service;
    service.mutable_metadata()->set_name("s" + std::to_string(i));
    service.mutable_spec()->set_role("x");
    service.mutable_spec()->mutable_placement()->add_clusters("c" + std::to_string(i));
    pb::Port& port = *service.mutable_spec()->add_ports();
    port.set_name("http");
    port.set_port(80);
    put(Resource::of(service));
    pb::Tenant tenant;
    tenant.mutable_metadata()->set_name("t" + std::to_string(i));
    put(Resource::of(tenant));
  }
  const auto start = system_clock().mono();
  const Status status = validate_fleet(fleet, changed);
  EXPECT_TRUE(status) << status.error().text().substr(0, 2000);
  // Takes about 0.1 s; a quadratic rule would take minutes.
  EXPECT_LT(system_clock().mono() - start, std::chrono::seconds(10));
}

// A customer's own cluster with as many nodes, and the customer's limit.
std::string owned_fleet(int nodes, int limit) {
  std::string text = fmt::format(R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {{name: acme}}
spec: {{limits: {{nodes: {}}}}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {{name: own}}
spec: {{tier: edge, region: eu-west, sharing: customer-managed, owner: acme, networks: {{mesh: 10.64.1.0/24}}}}
)",
                                 limit);
  for (int i = 1; i <= nodes; ++i)
    text += fmt::format(R"(
---
apiVersion: frameworks/v1
kind: Node
metadata: {{name: own-{0}}}
spec: {{cluster: own, address: 192.0.2.{0}, meshAddress: 10.64.1.{0}}}
)",
                        i);
  return text;
}

TEST(Validation, RefusesTheNinthNodeOnALimitOfEight) {
  const std::vector<ResourceKey> ninth{{"Node", "", "own-9"}};
  const std::vector<ResourceKey> eighth{{"Node", "", "own-8"}};
  EXPECT_TRUE(validate_fleet(fleet_of(owned_fleet(8, 8)), eighth, {}, nullptr));
  EXPECT_TRUE(validate_fleet(fleet_of(owned_fleet(9, 0)), ninth, {}, nullptr));
  const Status refused = validate_fleet(fleet_of(owned_fleet(9, 8)), ninth, {}, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("tenant \"acme\" would own 9 nodes, and its limit is 8"),
            std::string::npos)
      << refused.error().text();
}

TEST(Validation, RefusesNamesThatAreTakenOrReservedAndDomainsThatAreProvenToBeAnothers) {
  Snapshot fleet = fleet_of(R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
spec: {subdomain: www, domains: [live.example.org, tv.example.org, tv.example.org]}
---
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: zeta}
spec: {domains: [live.example.org]}
)");
  const std::vector<ResourceKey> changed{{"Tenant", "", "acme"}};
  const auto text = [&] {
    const Status refused = validate_fleet(fleet, changed, {}, nullptr);
    return refused ? std::string() : refused.error().text();
  };
  EXPECT_NE(text().find("\"www\" is a name of the platform's own"), std::string::npos) << text();
  EXPECT_NE(text().find("spec.domains[2]: \"tv.example.org\" is given twice"), std::string::npos)
      << text();
  EXPECT_EQ(text().find("live.example.org"), std::string::npos) << "a claim blocks nobody";
  pb::Tenant zeta = *fleet.find<pb::Tenant>("zeta");
  auto& status = *zeta.mutable_status()->add_domains();
  status.set_domain("live.example.org");
  status.set_state(pb::DOMAIN_STATE_VERIFIED);
  fleet.put(Resource::of(zeta));
  EXPECT_NE(text().find("spec.domains[0]: \"live.example.org\" belongs to Tenant/zeta already"),
            std::string::npos)
      << text();
}

}  // namespace
}  // namespace frameworks
