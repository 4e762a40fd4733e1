#include "server/plan.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "config/mesh/mesh_plan.h"
#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "machine/network_security/firewall_plan.h"
#include "machine/provisioning/pool_plan.h"
#include "runtime/inventory/inventory.h"
#include "runtime/orchestration/placement_plan.h"
#include "runtime/tenants/tenancy_plan.h"
#include "server/derive.h"
#include "server/fleet_client.h"
#include "server/node_plan.h"
#include "server/unfinished.h"
#include "store/fake_transaction.h"

namespace frameworks {
namespace {

// Applies to a fleet in memory, as the store would.
Result<PlannedChange> apply_to(FakeTransaction& transaction, const pb::ApplyRequest& request) {
  const auto outcome = std::make_shared<PlannedChange>();
  ASSIGN_OR_RETURN(const Edit edit, apply_edit(request, outcome));
  RETURN_IF_ERROR(edit(transaction));
  return std::move(*outcome);
}

TEST(Plan, ASecondApplyOfTheSameChangesNothing) {
  FakeTransaction transaction({}, derive);
  ASSERT_TRUE(apply_to(transaction, FleetClient::demo()));
  FakeTransaction next(transaction.snapshot(), derive);
  const auto again = apply_to(next, FleetClient::demo());
  ASSERT_TRUE(again);
  EXPECT_FALSE(changes_anything(*again));
}

TEST(Plan, FollowsAPoolsCountThroughAllLayers) {
  FakeTransaction transaction({}, derive);
  ASSERT_TRUE(apply_to(transaction, FleetClient::demo()));
  auto request = FleetClient::demo();
  for (auto& item : *request.mutable_items()) {
    pb::MachinePool pool;
    if (!item.resource().UnpackTo(&pool) || pool.spec().cluster() != "us-edge") continue;
    pool.mutable_spec()->set_count(2);
    *item.mutable_resource() = pack(Resource::of(pool));
  }
  FakeTransaction next(transaction.snapshot(), derive);
  const auto change = apply_to(next, request);
  ASSERT_TRUE(change) << change.error().text();
  const auto plan = explain(*change, NodePlans());
  std::set<std::string> layers;
  std::string text;
  for (const auto& step : plan.steps()) {
    layers.insert(step.layer());
    text += step.layer() + " " + step.action() + " " + step.object() + "\n";
  }
  EXPECT_EQ(layers, (std::set<std::string>{"config", "machine", "model", "runtime"})) << text;
  EXPECT_NE(next.snapshot().find<pb::Node>("us-edge-2"), nullptr);
  const auto& nodes = plan.blast_radius().nodes();
  EXPECT_NE(std::find(nodes.begin(), nodes.end(), "us-edge-2"), nodes.end());
}

// The steps as they are found by looking at everything, whatever changed.
std::string steps_of_everything(const PlannedChange& change) {
  std::string out;
  const auto add = [&](const std::vector<pb::PlanStep>& steps) {
    for (const pb::PlanStep& step : steps) out += step.ShortDebugString() + "\n";
  };
  add(explain_machines(change.before, change.after));
  add(explain_firewall(change.before, change.after));
  add(explain_configuration(change.before, change.after));
  add(explain_mesh(change.before, change.after));
  add(explain_placement(change.before, change.after));
  add(explain_tenants(change.before, change.after));
  return out;
}

std::string steps_of(const pb::Plan& plan) {
  std::string out;
  for (const pb::PlanStep& step : plan.steps())
    if (step.layer() != "model") out += step.ShortDebugString() + "\n";
  return out;
}

TEST(Plan, TellsTheSameAsLookingAtEverything) {
  FakeTransaction transaction({}, derive);
  ASSERT_TRUE(apply_to(transaction, FleetClient::demo()));
  // Each resource of the demo fleet is left out in turn, and comes back; then each service changes.
  const auto documents = FleetClient::demo();
  int compared = 0;
  for (int i = 0; i < documents.items_size(); ++i) {
    const auto resource = unpack(documents.items(i).resource());
    ASSERT_TRUE(resource);
    pb::DeleteRequest request;
    request.set_kind(resource->kind().name);
    request.set_tenant(resource->metadata().tenant());
    request.set_name(resource->name());
    FakeTransaction without(transaction.snapshot(), derive);
    const auto outcome = std::make_shared<PlannedChange>();
    const auto edit = delete_edit(request, outcome);
    ASSERT_TRUE(edit);
    if ((*edit)(without)) {  // not what others refer to
      EXPECT_EQ(steps_of(explain(*outcome, NodePlans())), steps_of_everything(*outcome));
      FakeTransaction again(without.snapshot(), derive);
      const auto change = apply_to(again, documents);
      if (change) {
        EXPECT_EQ(steps_of(explain(*change, NodePlans())), steps_of_everything(*change));
        ++compared;
      }
    }
    pb::Service service;
    if (!documents.items(i).resource().UnpackTo(&service)) continue;
    service.mutable_spec()->set_version("other");
    if (service.spec().ports_size() > 0) service.mutable_spec()->mutable_ports(0)->set_port(7);
    pb::ApplyRequest changed;
    *changed.add_items()->mutable_resource() = pack(Resource::of(service));
    FakeTransaction next(transaction.snapshot(), derive);
    const auto change = apply_to(next, changed);
    ASSERT_TRUE(change) << change.error().text();
    EXPECT_EQ(steps_of(explain(*change, NodePlans())), steps_of_everything(*change));
    ++compared;
  }
  EXPECT_GE(compared, 8);
}

TEST(Plan, KeepsStatusAndWhatOthersWrote) {
  FakeTransaction transaction({}, derive);
  ASSERT_TRUE(apply_to(transaction, FleetClient::demo()));
  pb::Tenant tenant = *transaction.snapshot().find<pb::Tenant>("acme");
  tenant.mutable_status()->set_state(pb::TENANT_STATE_ACTIVE);
  transaction.put(tenant);
  FakeTransaction next(transaction.snapshot(), derive);
  ASSERT_TRUE(apply_to(next, FleetClient::demo()));
  EXPECT_EQ(next.snapshot().find<pb::Tenant>("acme")->status().state(), pb::TENANT_STATE_ACTIVE);
}

// An address that was given stays when the file that leaves it out is applied again, even where
// another one would be given now.
TEST(Plan, KeepsTheAddressesThatNodesWereGiven) {
  pb::Node node;
  node.mutable_metadata()->set_name("eu-edge-9");
  node.mutable_spec()->set_cluster("eu-edge");
  node.mutable_spec()->set_address("192.0.2.9");
  pb::ApplyRequest request = FleetClient::demo();
  *request.add_items()->mutable_resource() = pack(Resource::of(node));
  FakeTransaction transaction({}, derive);
  ASSERT_TRUE(apply_to(transaction, request));
  pb::Node moved = *transaction.snapshot().find<pb::Node>("eu-edge-9");
  const std::string given = moved.spec().mesh_address();
  ASSERT_TRUE(given.ends_with(".9")) << given;
  moved.mutable_spec()->set_mesh_address(given + "9");
  transaction.put(moved);

  FakeTransaction next(transaction.snapshot(), derive);
  const auto again = apply_to(next, request);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_FALSE(changes_anything(*again));
  EXPECT_EQ(next.take_writes(), 0U);
  EXPECT_EQ(next.snapshot().find<pb::Node>("eu-edge-9")->spec().mesh_address(), given + "9");
}

TEST(Plan, RefusesWhenTheFleetMovedOn) {
  FakeTransaction transaction({}, derive);
  auto request = FleetClient::demo();
  request.set_if_revision(42);
  EXPECT_EQ(apply_to(transaction, request).error().code(), Code::kAborted);
}

// Whatever order the items come in, the fleet is the same.
RC_GTEST_PROP(Plan, TheOrderOfItemsDoesNotMatter, ()) {
  auto request = FleetClient::demo();
  FakeTransaction first({}, derive);
  RC_ASSERT(apply_to(first, request).has_value());
  std::vector<pb::FleetItem> items(request.items().begin(), request.items().end());
  for (size_t i = items.size(); i > 1; --i)
    std::swap(items[i - 1], items[*rc::gen::inRange<size_t>(0, i)]);
  request.mutable_items()->Assign(items.begin(), items.end());
  FakeTransaction second(first.snapshot(), derive);
  const auto change = apply_to(second, request);
  RC_ASSERT(change.has_value());
  RC_ASSERT(!changes_anything(*change));
  FakeTransaction third({}, derive);
  RC_ASSERT(apply_to(third, request).has_value());
  for (const Kind& kind : all_kinds())
    RC_ASSERT(third.snapshot().count(kind) == first.snapshot().count(kind));
}

TEST(Unfinished, TellsARunningApplyFromAFailedOneAndFromNone) {
  Snapshot snapshot;
  EXPECT_FALSE(unfinished_work(snapshot).incomplete);
  pb::Operation operation;
  operation.mutable_metadata()->set_name("apply-1");
  operation.mutable_metadata()->mutable_create_time()->set_seconds(1);
  operation.mutable_spec()->set_type("apply");
  operation.mutable_status()->set_state(pb::OPERATION_STATE_RUNNING);
  snapshot.put(Resource::of(operation));
  EXPECT_EQ(unfinished_work(snapshot).running, "apply-1");
  operation.mutable_status()->set_state(pb::OPERATION_STATE_FAILED);
  snapshot.put(Resource::of(operation));
  EXPECT_TRUE(unfinished_work(snapshot).incomplete);
  operation.mutable_status()->set_state(pb::OPERATION_STATE_SUCCEEDED);
  snapshot.put(Resource::of(operation));
  EXPECT_FALSE(unfinished_work(snapshot).incomplete);
}

}  // namespace
}  // namespace frameworks
