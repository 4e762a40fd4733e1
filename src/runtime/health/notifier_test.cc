#include "runtime/health/notifier.h"

#include <gtest/gtest.h>

#include <google/protobuf/util/time_util.h>

#include <boost/json.hpp>
#include <set>

#include "base/locked.h"
#include "runtime/health/incident_write.h"

namespace frameworks {
namespace {

// Takes what it is sent, or does not.
class FakeReceivers final : public WebClient {
 public:
  Result<WebAnswer> ask(const WebRequest& request) override {
    return state_.with([&](State& state) -> Result<WebAnswer> {
      ++state.tries;
      if (state.broken.contains(request.url))
        return Error(Code::kUnavailable, request.url + ": no route");
      state.taken.push_back(request);
      return WebAnswer{state.status, "body"};
    });
  }
  std::vector<WebRequest> taken() const {
    return state_.with([](const State& state) { return state.taken; });
  }
  int tries() const {
    return state_.with([](const State& state) { return state.tries; });
  }
  void break_down(const std::set<std::string>& urls) {
    state_.with([&](State& state) { state.broken = urls; });
  }

 private:
  struct State {
    std::vector<WebRequest> taken;
    std::set<std::string> broken;
    int tries = 0;
    int status = 200;
  };
  Locked<State> state_;
};

constexpr const char* kHook = "https://chat.example.net/hooks/s3cret";
constexpr const char* kAlerts = "http://127.0.0.1:9093";

class NotifierTest : public ::testing::Test {
 protected:
  NotifierTest()
      : store_(std::move(*Store::open(std::move(*open_sqlite_log(":memory:")), clock_, {}))) {}

  void start(bool alertmanager = false) {
    notifier_ = nullptr;
    Notifier::Options options;
    options.receivers.push_back(*parse_receiver(Receiver::Form::kWebhook, kHook, 1));
    if (alertmanager)
      options.receivers.push_back(*parse_receiver(Receiver::Form::kAlertmanager, kAlerts, 1));
    notifier_ = std::move(*Notifier::start(*store_, clock_, client_, std::move(options)));
  }
  void set(bool open) {
    WantedIncidents wanted;
    if (open)
      wanted[{"node-down", "Node/a"}] = {
          "node-down", "Node/a", "node a is down", {{"Node/a", "no heartbeat"}}};
    ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
      write_incidents(transaction, wanted);
      return {};
    }));
  }
  pb::Incident incident() { return *store_->snapshot()->list<pb::Incident>().front(); }
  // Lets time pass until it holds; false after long real time.
  template <typename Done>
  bool eventually(Done done) {
    const auto end = system_clock().mono() + std::chrono::seconds(60);
    while (!done()) {
      if (system_clock().mono() > end) return false;
      clock_.advance(std::chrono::milliseconds(250));
      system_clock().sleep_for(std::chrono::milliseconds(1), {});
    }
    return true;
  }
  static std::string text(const boost::json::value& value, const char* field) {
    return std::string(value.as_object().at(field).as_string());
  }

  ManualClock clock_;
  FakeReceivers client_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Notifier> notifier_;
};

TEST_F(NotifierTest, TellsOfTheOpeningAndTheEndOnceEach) {
  start();
  set(true);
  ASSERT_TRUE(eventually([&] { return incident().status().has_notify_time(); }));
  set(false);
  ASSERT_TRUE(eventually([&] { return client_.taken().size() == 2; }));
  const auto opened = boost::json::parse(client_.taken()[0].content);
  EXPECT_EQ(client_.taken()[0].url, kHook);
  EXPECT_EQ(text(opened, "state"), "open");
  EXPECT_EQ(text(opened, "type"), "node-down");
  EXPECT_EQ(text(opened, "object"), "Node/a");
  EXPECT_EQ(text(boost::json::parse(client_.taken()[1].content), "state"), "closed");
  EXPECT_NE(client_.taken()[0].headers, client_.taken()[1].headers) << "of another key";
}

TEST_F(NotifierTest, WhatIsNotTakenIsToldAgainAlsoAfterARestartAndTheUrlStaysSecret) {
  client_.break_down({kHook});
  start();
  set(true);
  ASSERT_TRUE(eventually([&] { return !incident().status().notify_error().empty(); }));
  EXPECT_EQ(incident().status().notify_error(), "webhook 1 (chat.example.net): it: no route");
  ASSERT_TRUE(eventually([&] { return client_.tries() >= 3; }));
  EXPECT_FALSE(incident().status().has_notify_time());
  client_.break_down({});
  start();
  ASSERT_TRUE(eventually([&] { return incident().status().has_notify_time(); }));
  EXPECT_EQ(incident().status().notify_error(), "");
  EXPECT_EQ(client_.taken().size(), 1u);
  start();
  set(false);
  ASSERT_TRUE(eventually([&] { return client_.taken().size() == 2; })) << "and nothing twice";
}

TEST_F(NotifierTest, OneReceiverThatFailsHoldsUpNoOther) {
  client_.break_down({kHook});
  start(true);
  set(true);
  ASSERT_TRUE(eventually([&] { return client_.tries() >= 6; }));
  EXPECT_EQ(client_.taken().size(), 1u) << "the other one, once";
}

TEST_F(NotifierTest, AlertmanagerIsToldAgainWhileItLastsAndThatItIsOver) {
  start(true);
  set(true);
  const auto alerts = [&] {
    std::vector<boost::json::value> out;
    for (const auto& request : client_.taken())
      if (request.url == "http://127.0.0.1:9093/api/v2/alerts")
        out.push_back(boost::json::parse(request.content).as_array().at(0));
    return out;
  };
  ASSERT_TRUE(eventually([&] { return alerts().size() >= 3; }));
  const auto first = alerts()[0];
  EXPECT_EQ(text(first.at("labels"), "type"), "node-down");
  EXPECT_LT(text(first, "startsAt"), text(first, "endsAt"));
  set(false);
  ASSERT_TRUE(eventually([&] {
    return text(alerts().back(), "endsAt") ==
           google::protobuf::util::TimeUtil::ToString(incident().status().close_time());
  }));
}

TEST(Receivers, AreHttpsOrOnThisHostAndErrorsDoNotTellThem) {
  const auto bad = parse_receiver(Receiver::Form::kWebhook, "http://chat.example.net/s3cret", 2);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message().find("s3cret"), std::string::npos) << bad.error().message();
  EXPECT_FALSE(parse_receiver(Receiver::Form::kWebhook, "@/no/such/file", 1));
  EXPECT_EQ(parse_receiver(Receiver::Form::kAlertmanager, "http://127.0.0.1:9093/", 1)->url,
            "http://127.0.0.1:9093/api/v2/alerts");
}

}  // namespace
}  // namespace frameworks
