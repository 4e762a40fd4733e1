#include "server/filter.h"

#include <gtest/gtest.h>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "model/registry.h"
#include "server/fleet_client.h"
#include "server/quartermaster.h"

namespace frameworks {
namespace {

TEST(Filter, HoldsWhenAllTermsHold) {
  pb::Cluster cluster;
  cluster.mutable_metadata()->set_name("eu");
  (*cluster.mutable_metadata()->mutable_labels())["example.com/rack"] = "7";
  cluster.mutable_spec()->set_tier(pb::TIER_EDGE);
  const auto holds = [&](const std::string& text) {
    const auto filter = Filter::parse(text, {&kind_of<pb::Cluster>()});
    EXPECT_TRUE(filter) << text;
    return filter && filter->matches(cluster);
  };
  for (const char* text :
       {"", "spec.tier=edge", "metadata.name=eu, spec.tier!=central", "labels.example.com/rack=7",
        "labels.example.com/rack", "!labels.other", "spec.region!=x", "!spec.region"})
    EXPECT_TRUE(holds(text)) << text;
  for (const char* text : {"spec.tier=central", "spec.tier=edge,metadata.name=us", "labels.other",
                           "!metadata.name", "spec.region"})
    EXPECT_FALSE(holds(text)) << text;
}

TEST(Filter, RefusesWhatIsNoneAndPathsThatNoKindHas) {
  for (const char* text : {"=", "a=b", "spec.colour=red", ",", "spec..tier=x", "spec.tier=edge,",
                           "!", "!=", "spec.tier<3", "spec.tier.x=1"})
    EXPECT_FALSE(Filter::parse(text, {&kind_of<pb::Cluster>()})) << text;
  EXPECT_FALSE(Filter::parse(std::string(5000, 'x'), {&kind_of<pb::Cluster>()}));
}

class FilteredFleet : public ::testing::Test {
 protected:
  FilteredFleet() : directory_(std::move(*TemporaryDirectory::make())) {
    QuartermasterOptions options;
    options.state = directory_.path();
    options.listen_grpc = options.listen_rest = "127.0.0.1:0";
    options.simulated = true;
    auto started = Quartermaster::start(options);
    EXPECT_TRUE(started);
    server_ = std::move(*started);
    client_ = std::make_unique<FleetClient>(directory_.path(), server_->grpc_port());
    client_->apply(FleetClient::demo());
  }
  grpc::Status list(const pb::ListRequest& request, pb::ListResponse& response) {
    response.Clear();
    return client_->call("Fleet/List", request, response);
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Quartermaster> server_;
  std::unique_ptr<FleetClient> client_;
};

TEST_F(FilteredFleet, ListsPagesOfWhatMatchesAndTheirTokensAreOfThatListOnly) {
  pb::ListRequest request;
  request.set_kind("clusters");
  request.set_filter("spec.tier=edge");
  request.set_page_size(1);
  request.add_fields("metadata.name");
  pb::ListResponse response;
  ASSERT_TRUE(list(request, response).ok());
  ASSERT_EQ(response.resources_size(), 1);
  pb::Cluster cluster;
  response.resources(0).UnpackTo(&cluster);
  EXPECT_EQ(cluster.metadata().name(), "eu-edge");
  EXPECT_FALSE(cluster.has_spec()) << "only the fields that were asked for";
  const std::string token = response.next_page_token();
  ASSERT_FALSE(token.empty());
  request.set_page_token(token);
  ASSERT_TRUE(list(request, response).ok());
  ASSERT_EQ(response.resources_size(), 1);
  response.resources(0).UnpackTo(&cluster);
  EXPECT_EQ(cluster.metadata().name(), "us-edge");
  EXPECT_EQ(response.next_page_token(), "");
  request.set_filter("");
  EXPECT_EQ(list(request, response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_page_token("garbage");
  EXPECT_EQ(list(request, response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.clear_page_token();
  request.add_fields("spec.colour");
  EXPECT_EQ(list(request, response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(FilteredFleet, WritesMeetTheRevisionTheySay) {
  pb::DeleteRequest request;
  request.set_kind("FirewallRule");
  client_->apply(
      FleetClient::yaml("apiVersion: frameworks/v1\nkind: FirewallRule\n"
                        "metadata: {name: no-hls}\nspec: {target: {clusters: [us-edge]}, "
                        "action: drop, ports: [8080]}\n"));
  request.set_name("no-hls");
  request.set_if_revision(1);
  pb::ApplyResponse response;
  EXPECT_EQ(client_->call("Fleet/Delete", request, response).error_code(),
            grpc::StatusCode::ABORTED);
  auto apply = FleetClient::yaml(
      "apiVersion: frameworks/v1\nkind: Tenant\n"
      "metadata: {name: acme}\nspec: {plan: other}\n");
  pb::Tenant tenant;
  apply.items(0).resource().UnpackTo(&tenant);
  tenant.mutable_metadata()->set_revision(999'999);
  apply.mutable_items(0)->mutable_resource()->PackFrom(tenant);
  EXPECT_EQ(client_->call("Fleet/Apply", apply, response).error_code(), grpc::StatusCode::ABORTED);
}

TEST_F(FilteredFleet, AJoinTokenOfADryRunIsNotMade) {
  pb::CreateJoinTokenRequest join;
  join.set_cluster("eu-edge");
  join.set_dry_run(true);
  pb::CreateJoinTokenResponse token;
  ASSERT_TRUE(client_->call("Machines/CreateJoinToken", join, token).ok());
  EXPECT_EQ(token.token(), "");
  pb::ListRequest tokens;
  tokens.set_kind("jointokens");
  tokens.set_filter("metadata.name=" + token.name());
  pb::ListResponse response;
  ASSERT_TRUE(list(tokens, response).ok());
  EXPECT_EQ(response.resources_size(), 0);
}

TEST_F(FilteredFleet, ADryRunSwitchesNoPower) {
  pb::SetPowerRequest power;
  power.set_node("eu-edge-1");
  power.set_dry_run(true);
  pb::SetPowerResponse response;
  ASSERT_TRUE(client_->call("Machines/SetPower", power, response).ok());
  EXPECT_NE(client_->get<pb::Node>("eu-edge-1").status().machine().state(),
            pb::MACHINE_STATE_STOPPED);
}

TEST(Api, EveryMethodThatWritesHasADryRun) {
  int found = 0;
  for (const auto* file :
       {pb::ApplyRequest::descriptor()->file(), pb::CreateTenantRequest::descriptor()->file(),
        pb::CreateTokenRequest::descriptor()->file()})
    for (int i = 0; i < file->service_count(); ++i)
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        const auto* method = file->service(i)->method(j);
        if (!method->options().GetExtension(pb::writes)) continue;
        ++found;
        EXPECT_NE(method->input_type()->FindFieldByName("dry_run"), nullptr) << method->full_name();
      }
  EXPECT_GT(found, 10);
}

}  // namespace
}  // namespace frameworks
