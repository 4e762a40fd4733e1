#include "runtime/sessions/join.h"

#include <future>
#include <thread>

#include "base/text.h"
#include "runtime/sessions/test_fleet.h"

namespace frameworks {
namespace {

class JoinTest : public ::testing::Test {
 protected:
  JoinTest()
      : store_(open_test_store(clock_)),
        desk_(
            *store_, clock_,
            [](std::string_view request, std::string_view) -> Result<NodeCertificate> {
              if (request != "good") return Error(Code::kInvalidArgument, "not a request");
              return NodeCertificate{"certificate", "0a"};
            },
            "the ca") {
    put_cluster(*store_, "core");
    put_cluster(*store_, "edge");
    put_node(*store_, "core-1", "core", false);
    put_node(*store_, "core-2", "core", false);
    put_node(*store_, "edge-1", "edge", false);
  }

  pb::CreateJoinTokenResponse token(const std::string& node = "", int uses = 1) {
    pb::CreateJoinTokenRequest request;
    request.set_cluster("core");
    request.set_node(node);
    request.set_max_uses(uses);
    return *create_join_token(*store_, "test", request);
  }

  Result<pb::JoinResponse> join(const std::string& token, const std::string& node,
                                const std::string& request = "good") {
    pb::JoinRequest message;
    message.set_token(token);
    message.set_node(node);
    message.set_certificate_request(request);
    std::optional<Result<pb::JoinResponse>> answer;
    std::mutex mutex;
    Signal signal;
    desk_.join(message, "test", [&](Result<pb::JoinResponse> response) {
      std::lock_guard lock(mutex);
      answer.emplace(std::move(response));
      signal.raise();
    });
    EXPECT_TRUE(signal.wait([&] {
      std::lock_guard lock(mutex);
      return answer.has_value();
    }));
    return *answer;
  }

  const pb::JoinTokenStatus status(const std::string& name) {
    // Refusals are counted behind the answer: an empty edit waits for what was queued before it.
    EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
    return store_->snapshot()->find<pb::JoinToken>(name)->status();
  }

  ManualClock clock_;
  std::unique_ptr<Store> store_;
  JoinDesk desk_;
};

TEST_F(JoinTest, AGoodTokenIsTradedOnceAndTheJoinRecorded) {
  const auto made = token("core-1");
  const auto joined = join(made.token(), "core-1");
  ASSERT_TRUE(joined) << joined.error().text();
  EXPECT_EQ(joined->certificate(), "certificate");
  EXPECT_EQ(joined->ca_certificate(), "the ca");
  EXPECT_EQ(status(made.name()).uses(), 1);
  const SnapshotPtr snapshot = store_->snapshot();
  const auto& node = *snapshot->find<pb::Node>("core-1");
  EXPECT_TRUE(node.status().agent().has_join_time());
  EXPECT_EQ(node.status().agent().certificate_serial(), "0a");
  // Both in one transaction.
  EXPECT_EQ(node.metadata().revision(),
            snapshot->find<pb::JoinToken>(made.name())->metadata().revision());
}

TEST_F(JoinTest, WhatWaitsForTheDiskIsAnsweredAlsoWhenTheDeskIsGone) {
  const std::string waiting = token("core-1").token();
  std::promise<void> go;
  store_->write_async(
      "test", [&](Transaction&) -> Status { return go.get_future().wait(), Status(); },
      [](const Result<Committed>&) {});
  auto desk = std::make_unique<JoinDesk>(
      *store_, clock_,
      [](std::string_view, std::string_view) -> Result<NodeCertificate> {
        return NodeCertificate{"certificate", "0b"};
      },
      "an authority whose name is long");
  pb::JoinRequest request;
  request.set_token(waiting);
  request.set_node("core-1");
  request.set_certificate_request("good");
  std::vector<std::future<Result<pb::JoinResponse>>> answers;
  // The first uses the token up: the second is refused once it is its turn.
  for (int i = 0; i < 2; ++i) {
    auto answer = std::make_shared<std::promise<Result<pb::JoinResponse>>>();
    answers.push_back(answer->get_future());
    desk->join(request, "test",
               [answer](auto response) { answer->set_value(std::move(response)); });
  }
  desk.reset();
  go.set_value();
  const auto joined = answers[0].get();
  ASSERT_TRUE(joined) << joined.error().text();
  EXPECT_EQ(joined->ca_certificate(), "an authority whose name is long");
  EXPECT_EQ(answers[1].get().error().code(), Code::kPermissionDenied);
}

struct Refusal {
  const char* what;
  JoinRefusal refusal;
  std::string token;
  std::string node;
  std::string request = "good";
};

TEST_F(JoinTest, RefusedTriesAreCountedAndConsumeNothing) {
  const auto good = token();
  const auto bound = token("core-1");
  const auto used = token();
  ASSERT_TRUE(join(used.token(), "core-2"));
  const auto expired = [&] {
    pb::CreateJoinTokenRequest request;
    request.set_cluster("core");
    request.mutable_ttl()->set_seconds(5);
    return *create_join_token(*store_, "test", request);
  }();
  clock_.advance(std::chrono::seconds(5));
  const std::string wrong_secret = good.name() + "." + std::string(64, '0');

  const Refusal table[] = {
      {"garbage", JoinRefusal::kForged, "garbage", "core-1"},
      {"no such token", JoinRefusal::kForged, "join-ffffffffffff.00", "core-1"},
      {"wrong secret", JoinRefusal::kForged, wrong_secret, "core-1"},
      {"the stored hash as secret", JoinRefusal::kForged,
       good.name() + "." +
           store_->snapshot()->find<pb::JoinToken>(good.name())->spec().secret_hash(),
       "core-1"},
      {"expired", JoinRefusal::kExpired, expired.token(), "core-1"},
      {"used up", JoinRefusal::kUsedUp, used.token(), "core-1"},
      {"bound to another node", JoinRefusal::kForeignNode, bound.token(), "core-2"},
      {"node of another cluster", JoinRefusal::kForeignCluster, good.token(), "edge-1"},
      {"unknown node", JoinRefusal::kUnknownNode, good.token(), "nowhere"},
      {"bad certificate request", JoinRefusal::kBadRequest, good.token(), "core-1", "bad"},
  };
  for (const Refusal& row : table) {
    const uint64_t before = desk_.refused(row.refusal);
    const auto joined = join(row.token, row.node, row.request);
    ASSERT_FALSE(joined) << row.what;
    EXPECT_EQ(desk_.refused(row.refusal), before + 1) << row.what;
    EXPECT_EQ(joined.error().message().find(row.token.substr(row.token.find('.') + 1)),
              std::string::npos)
        << row.what;
  }
  EXPECT_EQ(status(good.name()).uses(), 0);
  EXPECT_EQ(status(good.name()).refused(), 5);
  EXPECT_EQ(status(bound.name()).uses(), 0);
  EXPECT_EQ(status(bound.name()).refused(), 1);
  EXPECT_EQ(status(used.name()).uses(), 1);
  EXPECT_EQ(status(used.name()).refused(), 1);
  EXPECT_EQ(status(expired.name()).refused(), 1);
  EXPECT_TRUE(join(good.token(), "core-1"));
}

TEST_F(JoinTest, ACountedTokenLetsInExactlyAsManyAtOnce) {
  const auto made = token("", 3);
  std::vector<std::jthread> threads;
  std::atomic<int> joined{0};
  for (int i = 0; i < 16; ++i)
    threads.emplace_back(
        [&, i] { joined += join(made.token(), i % 2 ? "core-1" : "core-2") ? 1 : 0; });
  threads.clear();
  EXPECT_EQ(joined.load(), 3);
  EXPECT_EQ(status(made.name()).uses(), 3);
}

TEST_F(JoinTest, TheStoreNeverHoldsTheSecret) {
  const auto made = token();
  const std::string secret = made.token().substr(made.token().find('.') + 1);
  const SnapshotPtr snapshot = store_->snapshot();
  const auto& stored = *snapshot->find<pb::JoinToken>(made.name());
  EXPECT_EQ(stored.SerializeAsString().find(secret), std::string::npos);
  EXPECT_EQ(stored.spec().secret_hash(), sha256_hex(secret));
}

TEST_F(JoinTest, TokensAreForThingsThatExist) {
  pb::CreateJoinTokenRequest request;
  request.set_cluster("nowhere");
  EXPECT_EQ(create_join_token(*store_, "test", request).error().code(), Code::kNotFound);
  request.set_cluster("core");
  request.set_node("edge-1");
  EXPECT_EQ(create_join_token(*store_, "test", request).error().code(), Code::kFailedPrecondition);
}

TEST_F(JoinTest, TokensThatEndedADayAgoAreSweptByTheNext) {
  const auto old = token();
  clock_.advance(std::chrono::hours(26));
  const auto next = token();
  EXPECT_EQ(store_->snapshot()->find<pb::JoinToken>(old.name()), nullptr);
  EXPECT_NE(store_->snapshot()->find<pb::JoinToken>(next.name()), nullptr);
}

}  // namespace
}  // namespace frameworks
