#include "runtime/openid/device_flow.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "runtime/openid/fake_issuer.h"
#include "runtime/openid/issuer.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

class DeviceFlow : public ::testing::Test {
 protected:
  const std::string token_url_ = std::string(FakeIssuer::kIssuer) + "/token";
  const std::string device_url_ = std::string(FakeIssuer::kIssuer) + "/device";
  const OpenIdClient client_{FakeIssuer::kClient, {"openid"}};

  static WebAnswer refused(const char* error) {
    return {400, json::serialize(json::object{{"error", error}})};
  }
  // Waits on a thread while the clock runs; how long it took is in `took_`.
  Result<std::string> wait(std::vector<WebAnswer> answers, std::stop_token stop = {}) {
    issuer_.set(token_url_, std::move(answers));
    const auto metadata = discover_issuer(issuer_, FakeIssuer::kIssuer);
    const DeviceCode code{"dc", "ABCD",      "https://id.example.org/activate",
                          "",   seconds(60), seconds(5)};
    Result<std::string> out = Error(Code::kUnknown, "");
    std::atomic<bool> done = false;
    const MonoTime begin = clock_.mono();
    std::jthread waiter([&] {
      out = await_id_token(issuer_, clock_, *metadata, client_, code, stop);
      took_ = clock_.mono() - begin;
      done = true;
    });
    while (!done) {
      clock_.advance(seconds(1));
      system_clock().sleep_for(std::chrono::milliseconds(1), {});
    }
    return out;
  }

  FakeIssuer issuer_;
  ManualClock clock_;
  Duration took_{};
};

TEST_F(DeviceFlow, AsksUntilThePersonHasDecided) {
  const auto token = wait({refused("authorization_pending"),
                           refused("authorization_pending"),
                           {200, R"({"id_token":"a.b.c"})"}});
  ASSERT_TRUE(token) << token.error().message();
  EXPECT_EQ(*token, "a.b.c");
  EXPECT_EQ(issuer_.asked(token_url_), 3u);
}

TEST_F(DeviceFlow, GoesSlowerWhenItIsTold) {
  ASSERT_TRUE(wait({refused("slow_down"), refused("slow_down"), {200, R"({"id_token":"a.b.c"})"}}));
  EXPECT_GE(took_, seconds(5 + 10 + 15));
}

TEST_F(DeviceFlow, GoesOnWhenTheIssuerIsAwayForAWhile) {
  ASSERT_TRUE(wait({{503, "busy"}, {200, R"({"id_token":"a.b.c"})"}}));
  EXPECT_GE(took_, seconds(5 + 10));
}

TEST_F(DeviceFlow, EndsWithTheCodeTheRefusalOrTheInterrupt) {
  EXPECT_EQ(wait({refused("authorization_pending")}).error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(wait({refused("expired_token")}).error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(wait({refused("access_denied")}).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(wait({refused("invalid_client")}).error().message(),
            "https://id.example.org refuses: invalid_client");
  EXPECT_EQ(wait({{200, "{}"}}).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(wait({{400, "<html>"}}).error().code(), Code::kFailedPrecondition);
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(wait({refused("authorization_pending")}, source.get_token()).error().code(),
            Code::kCancelled);
}

TEST_F(DeviceFlow, ShowsOnlyWhatATerminalMayBeSent) {
  const auto problem = [](const json::object& answer) {
    const auto code = parse_device_code(json::serialize(answer));
    return code ? std::string("taken") : code.error().message();
  };
  const json::object good{{"device_code", "dc"},
                          {"user_code", "WDJB-MJHT"},
                          {"verification_uri", "https://id.example.org/device"},
                          {"expires_in", 600}};
  EXPECT_EQ(problem(good), "taken");
  const auto with = [&](const char* name, const json::value& value) {
    json::object out = good;
    out[name] = value;
    return problem(out);
  };
  EXPECT_NE(with("user_code", "\x1b]0;x\x07"), "taken");
  EXPECT_NE(with("user_code", ""), "taken");
  EXPECT_NE(with("verification_uri", "javascript:alert(1)"), "taken");
  EXPECT_NE(with("verification_uri_complete", "https://id.example.org/\n"), "taken");
  EXPECT_NE(with("device_code", 5), "taken");
  EXPECT_NE(with("expires_in", "soon"), "taken");
  EXPECT_EQ(parse_device_code(json::serialize(good))->interval, seconds(5));
}

}  // namespace
}  // namespace frameworks
