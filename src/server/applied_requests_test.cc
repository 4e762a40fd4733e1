// The same apply sent again: it answers as it did, and changes nothing.
#include "server/applied_requests.h"

#include <gtest/gtest.h>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"

namespace frameworks {
namespace {

pb::ApplyRequest tenant_request(const std::string& plan, const std::string& id) {
  pb::ApplyRequest request = FleetClient::yaml(
      "apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: acme}\nspec: {plan: " + plan +
      ", features: {a: 1, b: 2, c: 3, d: 4}}\n");
  request.set_request_id(id);
  return request;
}

class RequestIdTest : public ServerFixture {
 protected:
  RequestIdTest() { start(); }
  std::string plan() { return client_->get<pb::Tenant>("acme").spec().plan(); }

};

TEST_F(RequestIdTest, SentAgainAnApplyAnswersTheSameAlsoAfterARestart) {
  const auto first = client_->apply(tenant_request("gold", "one"));
  EXPECT_GT(first.revision(), 0);
  EXPECT_EQ(first.plan().steps_size() > 0, true);
  client_->apply(tenant_request("silver", "two"));
  for (int round = 0; round < 2; ++round) {
    const auto again = client_->apply(tenant_request("gold", "one"));
    EXPECT_EQ(again.DebugString(), first.DebugString());
    EXPECT_EQ(plan(), "silver");
    start();
  }
  // Without an id it is an apply like any other.
  client_->apply(tenant_request("gold", ""));
  EXPECT_EQ(plan(), "gold");
}

TEST_F(RequestIdTest, AnIdIsOfOneRequestAndOneCaller) {
  client_->apply(tenant_request("gold", "one"));
  pb::ApplyResponse response;
  const auto other = client_->call("Fleet/Apply", tenant_request("silver", "one"), response);
  EXPECT_EQ(other.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(FleetClient::violations(other).find("requestId"), std::string::npos);
  client_->apply(FleetClient::yaml(
      "apiVersion: frameworks/v1\nkind: Account\nmetadata: {name: ops}\nspec: {role: operator}\n"));
  pb::CreateTokenRequest token;
  token.set_account("ops");
  pb::CreateTokenResponse made;
  ASSERT_TRUE(client_->call("Accounts/CreateToken", token, made).ok());
  EXPECT_TRUE(unary_call(*client_->channel(), "frameworks.v1.Fleet/Apply", made.token(),
                         tenant_request("silver", "one"), response)
                  .ok());
  EXPECT_EQ(plan(), "silver");
}

TEST_F(RequestIdTest, WhatWasRefusedOrOnlyPlannedIsNotRemembered) {
  pb::ApplyRequest request = tenant_request("gold", "one");
  request.set_if_revision(987654);
  pb::ApplyResponse response;
  EXPECT_FALSE(client_->call("Fleet/Apply", request, response).ok());
  request = tenant_request("gold", "one");
  request.set_dry_run(true);
  client_->apply(request);
  client_->apply(tenant_request("silver", "one"));
  EXPECT_EQ(plan(), "silver");
}

class AppliedRequestsTest : public ::testing::Test {
 protected:
  AppliedRequestsTest()
      : store_(std::move(*Store::open(std::move(*open_sqlite_log(":memory:")), clock_, sealed()))),
        requests_(*store_, clock_, seal_) {}
  Store::Options sealed() {
    Store::Options options;
    options.seal = seal_;
    return options;
  }

  // True when the edit ran.
  Result<bool> apply(const std::string& id, const std::string& plan = "gold") {
    bool ran = false;
    const auto request =
        AppliedRequests::request({pb::ACCESS_ADMIN, "account/one"}, tenant_request(plan, id));
    const Edit edit = [&](Transaction&) -> Status {
      ran = true;
      return {};
    };
    auto done = store_->write(
        "test", requests_.once(request, edit, std::make_shared<const std::string>("op")));
    if (!done) return std::move(done.error());
    EXPECT_EQ(ran, !request->known.has_value());
    return ran;
  }
  size_t kept() { return store_->snapshot()->count(kind_of<pb::AppliedRequest>()); }

  ManualClock clock_;
  const std::shared_ptr<const SealKeys> seal_ = std::make_shared<const SealKeys>(SealKeys::make());
  std::unique_ptr<Store> store_;
  AppliedRequests requests_;
};

TEST_F(AppliedRequestsTest, AreKeptForADayAndThenTakenAway) {
  EXPECT_TRUE(*apply("one"));
  clock_.advance(std::chrono::hours(23));
  EXPECT_FALSE(*apply("one"));
  EXPECT_FALSE(apply("one", "silver"));
  const auto record = store_->snapshot()->list<pb::AppliedRequest>().front();
  EXPECT_TRUE(is_sealed(record->spec().digest())) << record->spec().digest();
  clock_.advance(std::chrono::hours(2));
  EXPECT_TRUE(*apply("one", "silver"));
  EXPECT_TRUE(*apply("two"));
  EXPECT_EQ(kept(), 2u);
  clock_.advance(std::chrono::hours(25));
  EXPECT_TRUE(*apply("three"));
  EXPECT_EQ(kept(), 1u);
}

TEST_F(AppliedRequestsTest, FurtherOnesAreRefusedRatherThanForgotten) {
  ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
    for (size_t i = 0; i < AppliedRequests::kMost; ++i) {
      pb::AppliedRequest record;
      record.mutable_metadata()->set_name("r-" + std::to_string(i));
      record.mutable_spec()->mutable_expire_time()->set_seconds(
          std::chrono::duration_cast<std::chrono::seconds>(
              (transaction.time() + AppliedRequests::kKept).time_since_epoch())
              .count());
      transaction.put(std::move(record));
    }
    return {};
  }));
  const auto refused = apply("one");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  clock_.advance(std::chrono::hours(25));
  EXPECT_TRUE(*apply("one"));
  EXPECT_EQ(kept(), 1u);
}

}  // namespace
}  // namespace frameworks
