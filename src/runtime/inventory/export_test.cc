#include "runtime/inventory/export.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/inventory/hosts.h"
#include "runtime/inventory/inventory.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using Names = std::vector<std::string>;

void put_cluster(Snapshot& snapshot, const std::string& name, pb::Tier tier,
                 const std::string& region) {
  pb::Cluster cluster;
  cluster.mutable_metadata()->set_name(name);
  cluster.mutable_spec()->set_tier(tier);
  cluster.mutable_spec()->set_region(region);
  snapshot.put(Resource::of(cluster));
}

pb::Node node(const std::string& name, const std::string& cluster, int number) {
  pb::Node out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_cluster(cluster);
  out.mutable_spec()->set_address("192.0.2." + std::to_string(number));
  out.mutable_spec()->set_mesh_address("10.64.4." + std::to_string(number));
  out.mutable_spec()->set_mesh_address6("fd66::" + std::to_string(number));
  out.mutable_spec()->set_availability(pb::AVAILABILITY_ACTIVE);
  return out;
}

void put_instance(Snapshot& snapshot, const std::string& service, const std::string& node,
                  const std::string& version = "") {
  pb::Instance out;
  out.mutable_metadata()->set_name(service + "." + node);
  out.mutable_spec()->set_service(service);
  out.mutable_spec()->set_node(node);
  out.mutable_spec()->set_version(version);
  snapshot.put(Resource::of(out));
}

Snapshot fleet() {
  Snapshot out;
  put_cluster(out, "core", pb::TIER_CENTRAL, "eu-west");
  put_cluster(out, "us-edge", pb::TIER_EDGE, "us-east");
  pb::Service exporter;
  exporter.mutable_metadata()->set_name("node-exporter");
  exporter.mutable_spec()->set_role("node_exporter");
  auto& port = *exporter.mutable_spec()->add_ports();
  port.set_name("metrics");
  port.set_port(9100);
  port.set_protocol(pb::PROTOCOL_TCP);
  port.set_exposure(pb::EXPOSURE_MESH);
  auto& udp = *exporter.mutable_spec()->add_ports();
  udp.set_name("gossip");
  udp.set_port(9101);
  udp.set_protocol(pb::PROTOCOL_UDP);
  out.put(Resource::of(exporter));
  out.put(Resource::of(node("core-1", "core", 1)));
  pb::Node edge = node("us-edge-1", "us-edge", 2);
  edge.mutable_status()->mutable_health()->set_state(pb::HEALTH_DOWN);
  edge.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  out.put(Resource::of(edge));
  put_instance(out, "node-exporter", "core-1");
  put_instance(out, "node-exporter", "us-edge-1", "1.8");
  pb::Tenant acme;
  acme.mutable_metadata()->set_name("acme");
  out.put(Resource::of(acme));
  pb::Grant grant;
  grant.mutable_metadata()->set_name("us-edge");
  grant.mutable_metadata()->set_tenant("acme");
  grant.mutable_spec()->set_cluster("us-edge");
  out.put(Resource::of(grant));
  out.set_revision(42, {});
  return out;
}

std::string exported(const Snapshot& snapshot, pb::InventoryFormat format,
                     const pb::InventoryFilter& filter = {}) {
  pb::ExportInventoryRequest request;
  request.set_format(format);
  *request.mutable_filter() = filter;
  pb::ExportInventoryResponse response;
  const Status status = export_inventory(snapshot, request, response);
  EXPECT_TRUE(status) << status.error().text();
  EXPECT_EQ(response.revision(), snapshot.revision());
  return response.body();
}

Names hosts_of(const Snapshot& snapshot, const pb::InventoryFilter& filter) {
  const auto hosts = select_hosts(snapshot, filter);
  EXPECT_TRUE(hosts) << hosts.error().text();
  Names out;
  for (const Host& host : *hosts) out.push_back(host.node->metadata().name());
  return out;
}

TEST(InventoryFilter, AdmitsNodesForWhichAllOfItHolds) {
  const Snapshot snapshot = fleet();
  EXPECT_EQ(hosts_of(snapshot, {}), (Names{"core-1", "us-edge-1"}));
  pb::InventoryFilter filter;
  filter.add_tiers(pb::TIER_EDGE);
  EXPECT_EQ(hosts_of(snapshot, filter), Names{"us-edge-1"});
  filter.add_regions("eu-west");
  EXPECT_EQ(hosts_of(snapshot, filter), Names{});
  filter.add_regions("us-east");
  EXPECT_EQ(hosts_of(snapshot, filter), Names{"us-edge-1"});
  filter.Clear();
  filter.add_tenants("acme");
  EXPECT_EQ(hosts_of(snapshot, filter), Names{"us-edge-1"});
  filter.Clear();
  filter.add_states(pb::HEALTH_UNKNOWN);  // what was not seen yet
  EXPECT_EQ(hosts_of(snapshot, filter), Names{"core-1"});
  filter.Clear();
  filter.add_services("node-exporter");
  filter.add_clusters("core");
  EXPECT_EQ(hosts_of(snapshot, filter), Names{"core-1"});
}

TEST(InventoryFilter, AGrantThatDoesNotHoldAdmitsNothing) {
  Snapshot snapshot = fleet();
  pb::Grant grant = *snapshot.find_by<pb::Grant>("tenant", "acme").front();
  grant.mutable_spec()->set_approval(pb::APPROVAL_REQUESTED);
  snapshot.put(Resource::of(grant));
  pb::InventoryFilter filter;
  filter.add_tenants("acme");
  EXPECT_EQ(hosts_of(snapshot, filter), Names{});
}

TEST(InventoryFilter, NamesThatDoNotExistAreToldAllAtOnce) {
  pb::InventoryFilter filter;
  filter.add_clusters("us-egde");
  filter.add_services("node-exporter");
  filter.add_services("nothing");
  filter.add_tenants("nobody");
  filter.add_regions("mars");
  const auto hosts = select_hosts(fleet(), filter);
  ASSERT_FALSE(hosts);
  EXPECT_EQ(hosts.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(hosts.error().violations().size(), 4u);
}

TEST(InventoryExport, AnsiblesListHasTheRevisionAndTheVariablesOfItsHosts) {
  const Snapshot snapshot = fleet();
  const auto list = json::parse(exported(snapshot, pb::INVENTORY_FORMAT_ANSIBLE)).as_object();
  EXPECT_EQ(list.at("all").at("vars").at("frameworks_revision").as_int64(), 42);
  for (const char* name : {"core-1", "us-edge-1"})
    EXPECT_EQ(list.at("_meta").at("hostvars").at(name),
              json::value(host_json(snapshot, *snapshot.find<pb::Node>(name))));
  EXPECT_EQ(list.at("service_node_exporter").at("hosts"), json::parse(R"(["core-1","us-edge-1"])"));
}

TEST(InventoryExport, ARoleGetsTheVersionOfItsInstance) {
  const Snapshot snapshot = fleet();
  const auto version = [&](const char* name) {
    return host_json(snapshot, *snapshot.find<pb::Node>(name))
        .at("frameworks_services")
        .at(0)
        .at("version");
  };
  EXPECT_EQ(version("core-1"), json::value(""));
  EXPECT_EQ(version("us-edge-1"), json::value("1.8"));
}

TEST(InventoryExport, PrometheusGetsATargetForEachTcpPort) {
  EXPECT_EQ(json::serialize(json::parse(exported(fleet(), pb::INVENTORY_FORMAT_PROMETHEUS))),
            json::serialize(json::parse(R"([
    {"targets": ["10.64.4.1:9100"], "labels": {
      "__meta_frameworks_node": "core-1", "__meta_frameworks_cluster": "core",
      "__meta_frameworks_region": "eu-west", "__meta_frameworks_tier": "central",
      "__meta_frameworks_state": "unknown", "__meta_frameworks_availability": "active",
      "__meta_frameworks_service": "node-exporter", "__meta_frameworks_role": "node_exporter",
      "__meta_frameworks_port": "metrics", "__meta_frameworks_exposure": "mesh",
      "__meta_frameworks_instance_state": "unknown"}},
    {"targets": ["10.64.4.2:9100"], "labels": {
      "__meta_frameworks_node": "us-edge-1", "__meta_frameworks_cluster": "us-edge",
      "__meta_frameworks_region": "us-east", "__meta_frameworks_tier": "edge",
      "__meta_frameworks_state": "down", "__meta_frameworks_availability": "drained",
      "__meta_frameworks_service": "node-exporter", "__meta_frameworks_role": "node_exporter",
      "__meta_frameworks_port": "metrics", "__meta_frameworks_exposure": "mesh",
      "__meta_frameworks_version": "1.8", "__meta_frameworks_instance_state": "unknown"}}])")));
}

TEST(InventoryExport, PrometheusGetsOnlyTheServicesThatItAsksFor) {
  Snapshot snapshot = fleet();
  pb::Service web;
  web.mutable_metadata()->set_name("web");
  web.mutable_spec()->add_ports()->set_port(80);
  snapshot.put(Resource::of(web));
  put_instance(snapshot, "web", "core-1");
  pb::InventoryFilter filter;
  filter.add_services("web");
  const auto all = json::parse(exported(snapshot, pb::INVENTORY_FORMAT_PROMETHEUS, filter));
  ASSERT_EQ(all.as_array().size(), 1u);
  EXPECT_EQ(all.at(0).at("targets"), json::parse(R"(["10.64.4.1:80"])"));
}

TEST(InventoryExport, PrometheusGetsLabelsThatItCanRead) {
  Snapshot snapshot = fleet();
  pb::Node odd = node("core-1", "core", 1);
  odd.mutable_spec()->clear_mesh_address();
  (*odd.mutable_metadata()->mutable_labels())["example.org/rack-1"] = "line\nand \"quote\"";
  (*odd.mutable_metadata()->mutable_labels())["example.org/rack.1"] = "hides behind the other";
  snapshot.put(Resource::of(odd));
  const auto first = json::parse(exported(snapshot, pb::INVENTORY_FORMAT_PROMETHEUS)).at(0);
  EXPECT_EQ(first.at("targets"), json::parse(R"(["[fd66::1]:9100"])"));
  EXPECT_EQ(first.at("labels").at("__meta_frameworks_label_example_org_rack_1").as_string(),
            "line\nand \"quote\"");
}

TEST(InventoryExport, SshKnowsTheKeysOfTheMachinesItConnectsTo) {
  Snapshot snapshot = fleet();
  pb::Node keyed = node("core-1", "core", 1);
  keyed.mutable_spec()->set_ssh_port(2222);
  keyed.mutable_spec()->set_ssh_user("admin");
  keyed.mutable_status()->mutable_machine()->set_ssh_host_key(
      "ssh-ed25519 AAAAC3+/= root@core-1\n");
  snapshot.put(Resource::of(keyed));
  EXPECT_EQ(exported(snapshot, pb::INVENTORY_FORMAT_SSH),
            "# FrameWorks fleet, revision 42. Made by: frameworks inventory --format ssh\n"
            "\n"
            "Host core-1\n"
            "  HostName 192.0.2.1\n"
            "  Port 2222\n"
            "  User admin\n"
            "  HostKeyAlias core-1\n"
            "  KnownHostsCommand /bin/echo core-1 ssh-ed25519 AAAAC3+/=\n"
            "  UserKnownHostsFile none\n"
            "  GlobalKnownHostsFile none\n"
            "  StrictHostKeyChecking yes\n"
            "\n"
            "Host us-edge-1\n"
            "  HostName 192.0.2.2\n"
            "  Port 22\n"
            "  User root\n"
            "  HostKeyAlias us-edge-1\n"
            "  # The machine's host key is not known: your own known_hosts decides.\n");
}

TEST(InventoryExport, NobodyWritesIntoASshConfiguration) {
  Snapshot snapshot = fleet();
  for (const char* user :
       {"root\n  ProxyCommand touch /tmp/x", "a b", "-oProxyCommand=x", "%h", "\"q"}) {
    pb::Node bad = node("core-1", "core", 1);
    bad.mutable_spec()->set_ssh_user(user);
    snapshot.put(Resource::of(bad));
    const std::string text = exported(snapshot, pb::INVENTORY_FORMAT_SSH);
    EXPECT_EQ(text.find("Host core-1"), std::string::npos) << user;
    EXPECT_EQ(text.find("Proxy"), std::string::npos) << user;
    EXPECT_NE(text.find("# core-1: left out"), std::string::npos) << user;
  }
  for (const char* key : {"ssh-ed25519", "ssh-ed25519 AAAA;reboot", "ssh-ed25519 $(id)",
                          "ssh ed25519\nProxyCommand x", "%h AAAA"}) {
    pb::Node bad = node("core-1", "core", 1);
    bad.mutable_status()->mutable_machine()->set_ssh_host_key(key);
    snapshot.put(Resource::of(bad));
    const std::string text = exported(snapshot, pb::INVENTORY_FORMAT_SSH);
    EXPECT_EQ(text.find("/bin/echo"), text.find("/bin/echo core-1 ssh ed25519")) << key;
    EXPECT_EQ(text.find("Proxy"), std::string::npos) << key;
  }
}

TEST(InventoryExport, AHostsFileHasTheMeshsNamesForBothAddresses) {
  EXPECT_EQ(exported(fleet(), pb::INVENTORY_FORMAT_HOSTS),
            "# FrameWorks fleet, revision 42: addresses inside the mesh\n"
            "10.64.4.1 core-1 core-1.mesh node-exporter.core.mesh\n"
            "fd66::1 core-1 core-1.mesh node-exporter.core.mesh\n"
            "10.64.4.2 us-edge-1 us-edge-1.mesh node-exporter.us-edge.mesh\n"
            "fd66::2 us-edge-1 us-edge-1.mesh node-exporter.us-edge.mesh\n");
}

TEST(InventoryExport, ACsvCellIsQuotedAndNoFormula) {
  Snapshot snapshot = fleet();
  pb::Node odd = node("core-1", "core", 1);
  odd.mutable_spec()->set_ssh_user("=1+1");
  (*odd.mutable_metadata()->mutable_labels())["note"] = "a,b \"c\"\nd";
  snapshot.put(Resource::of(odd));
  EXPECT_EQ(exported(snapshot, pb::INVENTORY_FORMAT_CSV),
            "name,cluster,tier,region,address,ssh_port,ssh_user,mesh_address,mesh_address6,state,"
            "availability,services,labels,revision\r\n"
            "core-1,core,central,eu-west,192.0.2.1,22,\"'=1+1\",10.64.4.1,fd66::1,unknown,active,"
            "node-exporter,\"note=a,b \"\"c\"\"\nd\",42\r\n"
            "us-edge-1,us-edge,edge,us-east,192.0.2.2,22,root,10.64.4.2,fd66::2,down,drained,"
            "node-exporter,,42\r\n");
}

TEST(InventoryExport, AnEmptyFleetIsAnEmptyDocument) {
  EXPECT_EQ(exported({}, pb::INVENTORY_FORMAT_PROMETHEUS), "[]\n");
  EXPECT_EQ(
      json::serialize(json::parse(exported({}, pb::INVENTORY_FORMAT_ANSIBLE))),
      R"({"_meta":{"hostvars":{}},"all":{"hosts":[],"children":[],"vars":{"frameworks_revision":0}}})");
}

}  // namespace
}  // namespace frameworks
