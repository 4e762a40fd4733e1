// Who may do what by REST: every route with every sort of caller, as proto/ declares it (and
// access_test.cc expects it). Nodes have no way in here: they come by client certificates.
#include <gtest/gtest.h>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/audit_api.pb.h"
#include "frameworks/v1/diagnosis_api.pb.h"
#include "model/json.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"
#include "server/test_accounts.h"

namespace frameworks {
namespace {

using google::protobuf::MethodDescriptor;

const std::string kFleet = R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
)";

std::vector<const MethodDescriptor*> routed_methods() {
  std::vector<const MethodDescriptor*> out;
  for (const auto* file :
       {pb::GetRequest::descriptor()->file(), pb::TenantKey::descriptor()->file(),
        pb::CreateTokenRequest::descriptor()->file(), pb::ListAuditRequest::descriptor()->file(),
        pb::WhyRequest::descriptor()->file()})
    for (int i = 0; i < file->service_count(); ++i)
      for (int j = 0; j < file->service(i)->method_count(); ++j)
        if (file->service(i)->method(j)->options().HasExtension(pb::http))
          out.push_back(file->service(i)->method(j));
  return out;
}

// "/v1/nodes/nothing/power": variables name what does not exist.
std::string path_of(const std::string& route) {
  std::string out;
  for (const std::string& segment : split(std::string_view(route).substr(1), '/'))
    out += segment.starts_with('{') ? "/nothing" : "/" + segment;
  return out;
}

class RestAccessTest : public ServerFixture {
 protected:
  RestAccessTest() {
    options_.wrong_tokens = 10'000;
    start();
    client_->apply(
        FleetClient::yaml(kFleet + account_documents({{"viewer", "viewer"},
                                                      {"operator", "operator"},
                                                      {"chief", "admin"},
                                                      {"left", "admin"},
                                                      {"acme-viewer", "viewer", "acme"},
                                                      {"acme-operator", "operator", "acme"},
                                                      {"acme-admin", "admin", "acme"}})));
    http_ = std::make_unique<HttpClient>(server_->rest_port());
  }

  HttpClient::Response probe(const MethodDescriptor& method, const std::string& token) {
    const pb::HttpRoute& route = method.options().GetExtension(pb::http);
    std::string target = path_of(route.path());
    if (route.path() == "/v1/watch") target += "?kinds=nothing";  // would go on without an end
    std::string body = route.verb() == "POST" ? "{}" : "";
    // An empty request would revoke the token that is tried.
    if (method.options().GetExtension(pb::writes)) body = R"({"dryRun":true})";
    if (route.verb() == "DELETE") {
      target += "?dryRun=true";
      body.clear();
    }
    auto response = http_->request(route.verb(), target, token, body);
    if (response.head.find("text/event-stream") != std::string::npos ||
        response.head.find("Connection: close") != std::string::npos)
      http_ = std::make_unique<HttpClient>(server_->rest_port());
    return response;
  }
  HttpClient::Response post(const std::string& path, const std::string& body) {
    return http_->request("POST", path, client_->token(), body);
  }
  boost::json::object make_token(const std::string& account, const std::string& ttl = "1h") {
    const auto made =
        post("/v1/accesstokens", R"({"account":")" + account + R"(","ttl":")" + ttl + "\"}");
    EXPECT_EQ(made.status, 200) << made.body;
    return parse_json(made.body)->as_object();
  }
  std::string token(const std::string& account, const std::string& ttl = "1h") {
    return std::string(make_token(account, ttl).at("token").as_string());
  }

  std::unique_ptr<HttpClient> http_;
};

// A connection remembers who called last: nobody must be taken for somebody else, nor stay welcome.
TEST_F(RestAccessTest, OneConnectionIsOfWhoeverCalls) {
  const auto first = make_token("viewer");
  const std::string viewer(first.at("token").as_string());
  const std::string chief = token("chief");
  const std::string brief = token("operator", "2s");
  HttpClient one(server_->rest_port());
  const auto who = [&](const std::string& shown) {
    const auto answer = one.request("GET", "/v1/whoami", shown);
    if (answer.status != 200) return std::to_string(answer.status);
    return std::string(parse_json(answer.body)->as_object().at("account").as_string());
  };
  EXPECT_EQ(who(brief), "operator");
  EXPECT_EQ(who(brief), "operator");
  EXPECT_EQ(who(viewer), "viewer");
  EXPECT_EQ(who(""), "401");
  EXPECT_EQ(who(viewer), "viewer");
  EXPECT_EQ(who(chief), "chief");
  EXPECT_EQ(who(chief + "a"), "401");
  EXPECT_EQ(who(chief), "chief");
  EXPECT_EQ(who(viewer), "viewer");
  // Not "within a while": from the next request on.
  ASSERT_EQ(post("/v1/accesstokens/revoke",
                 R"({"name":")" + std::string(first.at("name").as_string()) + "\"}")
                .status,
            200);
  EXPECT_EQ(who(viewer), "401");
  EXPECT_EQ(who(chief), "chief");
  // Nothing is written when a token expires.
  EXPECT_TRUE(eventually([&] { return who(brief) == "401"; }));
}

TEST_F(RestAccessTest, EveryRouteTakesAndRefusesTheCallersItSays) {
  const auto revoked = make_token("left");
  ASSERT_EQ(post("/v1/accesstokens/revoke",
                 R"({"name":")" + std::string(revoked.at("name").as_string()) + "\"}")
                .status,
            200);
  const std::string disabled = token("left");
  client_->apply(FleetClient::yaml(R"(
apiVersion: frameworks/v1
kind: Account
metadata: {name: left}
spec: {role: admin, disabled: true}
)"));
  const std::string expired = token("chief", "1s");
  ASSERT_TRUE(
      eventually([&] { return http_->request("GET", "/v1/whoami", expired).status == 401; }));
  struct Sort {
    std::string name, token;
    pb::Access role;
    bool bound;
  };
  const std::vector<Sort> sorts{
      {"nobody", "", pb::ACCESS_ANYBODY, false},
      {"wrong token", "fwt_0123456789ab_aaaaaaaaaaaaaaaa", pb::ACCESS_NOBODY, false},
      {"revoked", std::string(revoked.at("token").as_string()), pb::ACCESS_NOBODY, false},
      {"disabled", disabled, pb::ACCESS_NOBODY, false},
      {"expired", expired, pb::ACCESS_NOBODY, false},
      {"viewer", token("viewer"), pb::ACCESS_VIEWER, false},
      {"operator", token("operator"), pb::ACCESS_OPERATOR, false},
      {"admin", token("chief"), pb::ACCESS_ADMIN, false},
      {"acme-viewer", token("acme-viewer"), pb::ACCESS_VIEWER, true},
      {"acme-operator", token("acme-operator"), pb::ACCESS_OPERATOR, true},
      {"acme-admin", token("acme-admin"), pb::ACCESS_ADMIN, true},
  };
  int tried = 0;
  for (const auto* method : routed_methods()) {
    const pb::Access least = method->options().GetExtension(pb::access);
    const bool closed = method->options().GetExtension(pb::tenant_scope) == pb::TENANT_SCOPE_NONE;
    for (const Sort& sort : sorts) {
      const auto response = probe(*method, sort.token);
      const bool unserved =
          response.status == 404 && response.body.find("no such path") != std::string::npos;
      if (unserved || response.status == 405) continue;
      ++tried;
      const std::string where = method->full_name() + " as " + sort.name + ": " + response.body;
      const bool known = sort.role > pb::ACCESS_ANYBODY;
      if (sort.role == pb::ACCESS_NOBODY || (!known && least != pb::ACCESS_ANYBODY)) {
        EXPECT_EQ(response.status, 401) << where;
        EXPECT_NE(response.head.find("WWW-Authenticate: Bearer"), std::string::npos) << where;
      } else if (sort.role < least || (sort.bound && closed)) {
        EXPECT_EQ(response.status, 403) << where;
      } else {
        EXPECT_NE(response.status, 401) << where;
        EXPECT_NE(response.status, 403) << where;
        EXPECT_LT(response.status, 500) << where;
      }
    }
  }
  EXPECT_GE(tried, 200);
}

TEST_F(RestAccessTest, ARequestWhoseBodyComesLaterCountsOnceAgainstTheRate) {
  const auto made = post("/v1/accesstokens", R"({"account":"operator","rate":1})");
  const std::string token(parse_json(made.body)->as_object().at("token").as_string());
  http_->send("POST /v1/apply HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token +
              "\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(http_->read_response().status, 100);
  http_->send("2\r\n{}\r\n0\r\n\r\n");
  EXPECT_EQ(http_->read_response().status, 200);
}

TEST_F(RestAccessTest, ATokenThatExpiresIsRefusedOnAConnectionThatIsOpen) {
  const std::string brief = token("viewer", "1s");
  EXPECT_EQ(http_->request("GET", "/v1/whoami", brief).status, 200);
  EXPECT_TRUE(eventually([&] {
    const auto response = http_->request("GET", "/v1/whoami", brief);
    return response.status == 401 && response.body.find("expired") != std::string::npos;
  }));
}

}  // namespace
}  // namespace frameworks
