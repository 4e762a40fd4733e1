#include <gtest/gtest.h>

#include "server/tenant_fixture.h"

namespace frameworks {
namespace {

using grpc::StatusCode;
using TenantMethods = TenantFixture;

TEST_F(TenantMethods, CreateIsTheSameAgainForTheSameRequestId) {
  ASSERT_EQ(create("acme", "order-1", true), StatusCode::OK) << text_;
  EXPECT_EQ(response_.revision(), 0) << "a dry run writes nothing";
  ASSERT_EQ(create("acme", "order-1"), StatusCode::OK) << text_;
  const std::string uid = response_.tenant().metadata().uid();
  const auto revision = response_.revision();
  EXPECT_EQ(uid.size(), 36u);
  EXPECT_EQ(response_.tenant().spec().subdomain(), "acme");
  ASSERT_EQ(create("acme", "order-1"), StatusCode::OK) << text_;
  EXPECT_EQ(response_.tenant().metadata().uid(), uid);
  EXPECT_EQ(response_.revision(), revision);
  ASSERT_EQ(create("other", "order-1"), StatusCode::OK) << text_;
  EXPECT_EQ(response_.tenant().metadata().name(), "acme");
  EXPECT_EQ(create("acme", "order-2"), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(create("Not A Name", "order-3"), StatusCode::INVALID_ARGUMENT);
}

TEST_F(TenantMethods, AUidIsTheCallersOnlyWhereItCreatesATenantAndIsOneTenants) {
  pb::CreateTenantRequest request;
  auto& metadata = *request.mutable_tenant()->mutable_metadata();
  metadata.set_name("acme");
  metadata.set_uid("0b6f8a9c-order-7");
  ASSERT_EQ(call("Create", request), StatusCode::OK) << text_;
  EXPECT_EQ(response_.tenant().metadata().uid(), "0b6f8a9c-order-7");
  metadata.set_name("other");
  ASSERT_EQ(call("Create", request), StatusCode::OK) << text_;
  EXPECT_EQ(response_.tenant().metadata().name(), "acme") << "the same uid, the same tenant";
  for (const std::string& bad : {std::string("a b"), std::string("x/../y"), std::string(65, 'a')}) {
    metadata.set_uid(bad);
    EXPECT_EQ(call("Create", request), StatusCode::INVALID_ARGUMENT) << bad;
    EXPECT_NE(text_.find("metadata.uid"), std::string::npos) << text_;
  }
  // An apply's items come as they are: no file's reader has cleared what is the store's.
  pb::Tenant forged;
  forged.mutable_metadata()->set_name("forger");
  forged.mutable_metadata()->set_uid("0b6f8a9c-order-7");
  forged.mutable_metadata()->add_finalizers("never");
  forged.mutable_status()->set_state(pb::TENANT_STATE_DELETING);
  pb::ApplyRequest apply;
  *apply.add_items()->mutable_resource() = pack(Resource::of(forged));
  client_->apply(apply);
  const auto stored = client_->get<pb::Tenant>("forger");
  EXPECT_EQ(stored.metadata().uid().size(), 36u);
  EXPECT_EQ(stored.metadata().finalizers_size(), 0);
  EXPECT_EQ(stored.status().state(), pb::TENANT_STATE_UNSPECIFIED);
}

TEST_F(TenantMethods, UpdateTakesTheNamedFieldsOfTheRevisionThatWasRead) {
  ASSERT_EQ(create("acme"), StatusCode::OK) << text_;
  pb::UpdateTenantRequest request;
  *request.mutable_tenant() = response_.tenant();
  request.mutable_tenant()->mutable_spec()->set_plan("pro");
  request.mutable_tenant()->mutable_spec()->mutable_limits()->set_nodes(8);
  request.add_fields("spec.limits.nodes");
  ASSERT_EQ(call("Update", request), StatusCode::OK) << text_;
  EXPECT_EQ(response_.tenant().spec().limits().nodes(), 8);
  EXPECT_EQ(response_.tenant().spec().plan(), "default") << "was not named";
  EXPECT_EQ(call("Update", request), StatusCode::ABORTED) << "it is newer now";
  request.mutable_tenant()->mutable_metadata()->set_revision(0);
  request.set_fields(0, "status.state");
  EXPECT_EQ(call("Update", request), StatusCode::INVALID_ARGUMENT);
  request.clear_fields();
  request.mutable_tenant()->mutable_spec()->set_primary_cluster("nowhere");
  EXPECT_EQ(call("Update", request), StatusCode::INVALID_ARGUMENT) << "the fleet's rules hold";
  request.mutable_tenant()->mutable_spec()->clear_primary_cluster();
  ASSERT_EQ(call("Update", request), StatusCode::OK) << text_;
  EXPECT_EQ(response_.tenant().spec().plan(), "pro");
}

TEST_F(TenantMethods, ASuspendedTenantIsToldAsSuchUntilItIsResumed) {
  ASSERT_EQ(create("acme"), StatusCode::OK) << text_;
  const auto state = [&] {
    pb::FindTenantContextRequest request;
    request.mutable_key()->set_subdomain("acme");
    pb::TenantContext context;
    EXPECT_TRUE(client_->call("Tenants/FindContext", request, context).ok());
    return context.state();
  };
  pb::SuspendTenantRequest suspend;
  suspend.set_tenant("acme");
  suspend.set_dry_run(true);
  ASSERT_EQ(call("Suspend", suspend), StatusCode::OK) << text_;
  EXPECT_TRUE(response_.tenant().spec().suspended());
  EXPECT_EQ(state(), pb::TENANT_STATE_ACTIVE);
  suspend.set_dry_run(false);
  ASSERT_EQ(call("Suspend", suspend), StatusCode::OK) << text_;
  EXPECT_EQ(state(), pb::TENANT_STATE_SUSPENDED);
  pb::ResumeTenantRequest resume;
  resume.set_tenant("acme");
  ASSERT_EQ(call("Resume", resume), StatusCode::OK) << text_;
  EXPECT_EQ(state(), pb::TENANT_STATE_ACTIVE);
  resume.set_tenant("nobody");
  EXPECT_EQ(call("Resume", resume), StatusCode::NOT_FOUND);
}

TEST_F(TenantMethods, ContextsAreAnsweredInTheOrderOfTheKeysAndNotTwice) {
  ASSERT_EQ(create("acme"), StatusCode::OK) << text_;
  pb::BatchTenantContextsRequest request;
  request.add_keys()->set_tenant("nobody");
  request.add_keys()->set_uid(response_.tenant().metadata().uid());
  pb::BatchTenantContextsResponse response;
  ASSERT_TRUE(client_->call("Tenants/BatchContexts", request, response).ok());
  ASSERT_EQ(response.contexts_size(), 2);
  EXPECT_EQ(response.contexts(0).tenant(), "");
  EXPECT_EQ(response.contexts(1).tenant(), "acme");
  for (int i = 0; i < 999; ++i) request.add_keys()->set_tenant("acme");
  EXPECT_EQ(client_->call("Tenants/BatchContexts", request, response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  pb::GetTenantContextRequest again;
  again.set_tenant("acme");
  again.set_if_none_match(response_.revision());
  pb::TenantContext context;
  ASSERT_TRUE(client_->call("Tenants/GetContext", again, context).ok());
  EXPECT_TRUE(context.not_modified());
  again.set_if_none_match(response_.revision() - 1);
  ASSERT_TRUE(client_->call("Tenants/GetContext", again, context).ok());
  EXPECT_FALSE(context.not_modified());
}

}  // namespace
}  // namespace frameworks
