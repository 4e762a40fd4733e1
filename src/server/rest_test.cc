#include <boost/json.hpp>

#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "server/api_fixture.h"
#include "server/rest_request.h"

namespace frameworks {
namespace {

// Tells what it is given, then waits for pokes that never come.
class Patient final : public ReplyStream {
 public:
  Result<State> next(Message& out) override {
    if (told_) return State::kWait;
    told_ = true;
    static_cast<pb::WatchEvent&>(out).set_revision(7);
    return State::kMessage;
  }

 private:
  bool told_ = false;
};

class RestTest : public ApiFixture {
 protected:
  RestTest() {
    api_.add<pb::GetRequest, pb::GetResponse>(
        "frameworks.v1.Fleet/Get", Runs::kInline,
        [](const Caller&, const auto& request, auto& response) -> Status {
          if (request.name() == "none") return Error(Code::kNotFound, "Node/none: not found");
          response.set_revision(static_cast<int64_t>(request.name().size()));
          return {};
        });
    api_.add<pb::ListRequest, pb::ListResponse>(
        "frameworks.v1.Fleet/List", Runs::kWorker,
        [](const Caller&, const auto& request, auto& response) -> Status {
          response.set_revision(request.page_size());
          response.set_next_page_token(request.tenant());
          return {};
        });
    api_.add<pb::SetPowerRequest, pb::SetPowerResponse>(
        "frameworks.v1.Machines/SetPower", Runs::kWorker,
        [this](const Caller& caller, const auto& request, auto&) -> Status {
          powered_ = caller.name + " " + request.node() + (request.on() ? " on" : " off");
          return {};
        });
    api_.add<pb::CreateJoinTokenRequest, pb::CreateJoinTokenResponse>(
        "frameworks.v1.Machines/CreateJoinToken", Runs::kInline,
        [](const Caller&, const auto&, auto& response) -> Status {
          response.set_token("name.secret");
          return {};
        });
    api_.add_stream<pb::WatchRequest, pb::WatchEvent>(
        "frameworks.v1.Fleet/Watch",
        [](const Caller&, const pb::WatchRequest& request,
           Poke) -> Result<std::unique_ptr<ReplyStream>> {
          if (request.from_revision() == 1) return Error(Code::kOutOfRange, "too old");
          return std::unique_ptr<ReplyStream>(std::make_unique<Patient>());
        });
  }

  HttpClient::Response get(const std::string& target, const std::string& token = kAdminToken) {
    return HttpClient(rest_->port()).request("GET", target, token);
  }

  std::string powered_;
};

TEST_F(RestTest, FillsRequestsFromPathQueryAndBody) {
  serve();
  EXPECT_EQ(get("/v1/resources/nodes/core-1").body, R"({"revision":6})");
  EXPECT_EQ(get("/v1/resources/nodes/a%2Fb").body, R"({"revision":3})");
  EXPECT_EQ(get("/v1/resources/nodes?pageSize=7&tenant=a+b").body,
            R"({"nextPageToken":"a b","revision":7})");
  const auto response =
      HttpClient(rest_->port())
          .request("POST", "/v1/nodes/core-1/power", kOperatorToken, R"({"on":true})");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(powered_, "account/operator core-1 on");
}

TEST_F(RestTest, AnswersErrorsAsProblemDocuments) {
  serve();
  const auto missing = get("/v1/resources/nodes/none");
  EXPECT_EQ(missing.status, 404);
  EXPECT_NE(missing.head.find("application/problem+json"), std::string::npos);
  const auto document = boost::json::parse(missing.body).as_object();
  EXPECT_EQ(document.at("detail"), "Node/none: not found");
  EXPECT_EQ(document.at("code"), "not_found");
  const auto bad = get("/v1/resources/nodes?pageSize=many&colour=red");
  EXPECT_EQ(bad.status, 400) << bad.body;
  EXPECT_FALSE(boost::json::parse(bad.body).as_object().at("violations").as_array().empty());
}

TEST_F(RestTest, TellsPathsVerbsAndRolesApart) {
  serve();
  EXPECT_EQ(get("/v1/nonsense").status, 404);
  EXPECT_EQ(get("/v1/jointokens").status, 405);
  EXPECT_EQ(get("/v1/resources/nodes/a", "").status, 401);
  EXPECT_EQ(get("/v1/resources/nodes/a", "wrong").status, 401);
  HttpClient client(rest_->port());
  EXPECT_EQ(client.request("POST", "/v1/jointokens", kViewerToken, R"({"cluster":"a"})").status,
            403);
  EXPECT_EQ(client.request("POST", "/v1/jointokens", kAdminToken, R"({"cluster":"a"})").body,
            R"({"token":"name.secret"})");
}

TEST_F(RestTest, RefusesWhatIsNoJson) {
  serve();
  HttpClient client(rest_->port());
  EXPECT_EQ(client.request("POST", "/v1/jointokens", kAdminToken, "{").status, 400);
  EXPECT_EQ(client.request("POST", "/v1/jointokens", kAdminToken, "[]").status, 400);
  EXPECT_EQ(client.request("POST", "/v1/jointokens", kAdminToken, R"({"x":1})").status, 400);
}

TEST_F(RestTest, LargeHeadersAndBodiesAreRefusedAndTheConnectionClosed) {
  RestLimits limits;
  limits.header_bytes = 2000;
  limits.body_bytes = 1000;
  serve(limits);
  HttpClient body(rest_->port());
  EXPECT_EQ(body.request("POST", "/v1/jointokens", kAdminToken, std::string(2000, ' ')).status,
            413);
  EXPECT_EQ(body.read_all(), "");
  HttpClient header(rest_->port());
  EXPECT_EQ(header.request("GET", "/healthz", std::string(4000, 'x')).status, 431);
}

TEST_F(RestTest, ConnectionsBeyondTheLimitAreClosed) {
  RestLimits limits;
  limits.connections = 1;
  serve(limits);
  HttpClient first(rest_->port());
  EXPECT_EQ(first.request("GET", "/healthz").status, 200);
  HttpClient second(rest_->port());
  EXPECT_EQ(second.read_all(), "");
  EXPECT_EQ(first.request("GET", "/healthz").body, "ok\n");
}

TEST_F(RestTest, AClientThatSendsNothingIsLetGo) {
  RestLimits limits;
  limits.patience = std::chrono::seconds(1);
  serve(limits);
  HttpClient silent(rest_->port());
  silent.send("GET /healthz HTT");
  EXPECT_EQ(silent.read_all(), "");
}

TEST_F(RestTest, StreamsAsServerSentEventsWithSignsOfLife) {
  RestLimits limits;
  limits.keep_alive = std::chrono::seconds(1);
  serve(limits);
  HttpClient client(rest_->port());
  client.send(std::string("GET /v1/watch HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ") +
              kViewerToken + "\r\n\r\n");
  EXPECT_NE(client.read_until("\r\n\r\n").find("text/event-stream"), std::string::npos);
  EXPECT_EQ(client.read_until("\n\n"), "retry: 2000\n\n");
  EXPECT_EQ(client.read_until("\n\n"), "id: 7\ndata: {\"revision\":7}\n\n");
  EXPECT_EQ(client.read_until("\n\n"), ": keep-alive\n\n");
}

TEST_F(RestTest, AStreamThatCannotBeOpenedIsAnErrorNotAnEvent) {
  serve();
  EXPECT_EQ(get("/v1/watch?fromRevision=1").status, 410);
}

TEST_F(RestTest, KeepsAConnectionForManyRequests) {
  serve();
  HttpClient client(rest_->port());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.request("GET", "/healthz").status, 200);
}

TEST_F(RestTest, ShowsItsCounters) {
  serve();
  get("/v1/resources/nodes/core-1");
  EXPECT_NE(get("/metrics")
                .body.find("quartermaster_requests_total{method=\"frameworks.v1.Fleet/"
                           "Get\",transport=\"rest\",code=\"ok\"} 1\n"),
            std::string::npos);
}

TEST_F(RestTest, ProblemsHaveStableTypesThatExplainThemselves) {
  serve();
  const auto document = boost::json::parse(get("/v1/resources/nodes/none").body).as_object();
  EXPECT_EQ(document.at("type"), "/v1/problems/not-found");
  const auto explained = get(std::string(document.at("type").as_string()));
  EXPECT_EQ(explained.status, 200);
  EXPECT_NE(explained.body.find("not-found (404)"), std::string::npos);
  EXPECT_EQ(get("/v1/problems/of-my-own").status, 404);
}

TEST_F(RestTest, TellsWhichVerbsAPathIsServedFor) {
  serve();
  HttpClient client(rest_->port());
  const auto wrong = client.request("PUT", "/v1/resources/nodes/a", kAdminToken);
  EXPECT_EQ(wrong.status, 405);
  EXPECT_NE(wrong.head.find("Allow: GET, HEAD, OPTIONS\r\n"), std::string::npos) << wrong.head;
  const auto options = client.request("OPTIONS", "/v1/jointokens");
  EXPECT_EQ(options.status, 204);
  EXPECT_NE(options.head.find("Allow: OPTIONS, POST\r\n"), std::string::npos) << options.head;
  EXPECT_EQ(client.request("OPTIONS", "/v1/nonsense").status, 404);
}

TEST_F(RestTest, HeadIsGetWithoutItsBody) {
  serve();
  HttpClient client(rest_->port());
  client.send(std::string("HEAD /v1/resources/nodes/core-1 HTTP/1.1\r\nHost: a\r\nAuthorization: "
                          "Bearer ") +
              kAdminToken + "\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("200 OK"), std::string::npos);
  EXPECT_NE(head.find("Content-Length: 14\r\n"), std::string::npos) << head;
  EXPECT_EQ(client.read_response().body, "ok\n");
}

TEST_F(RestTest, ChecksWhatIsSentAndWhatIsWanted) {
  serve();
  const auto status = [&](const std::string& verb, const std::string& path,
                          const std::string& headers, const std::string& body) {
    HttpClient client(rest_->port());
    client.send(verb + " " + path + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + kAdminToken +
                "\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                body);
    return client.read_response().status;
  };
  const std::string body = R"({"cluster":"a"})";
  EXPECT_EQ(status("POST", "/v1/jointokens", "Content-Type: text/plain\r\n", body), 415);
  EXPECT_EQ(
      status("POST", "/v1/jointokens", "Content-Type: application/json; charset=utf-8\r\n", body),
      200);
  EXPECT_EQ(status("GET", "/v1/resources/nodes/a", "Accept: text/html\r\n", ""), 406);
  EXPECT_EQ(status("GET", "/v1/resources/nodes/a", "Accept: text/html, */*;q=0.1\r\n", ""), 200);
  EXPECT_EQ(status("GET", "/v1/watch", "Accept: application/json\r\n", ""), 406);
}

TEST_F(RestTest, AnswersWithBytesThatExistAlready) {
  api_.add_ready<pb::GetTenantContextRequest, pb::TenantContext>(
      "frameworks.v1.Tenants/GetContext", [](const Caller&, const auto&) -> Result<Ready> {
        ReadyAnswer answer;
        answer.json = {piece_of(R"({"tenant":"acme",)"), piece_of(R"("plan":"pro"})")};
        answer.revision = 17;
        return std::make_shared<const ReadyAnswer>(std::move(answer));
      });
  serve();
  const auto first = get("/v1/tenants/acme/context");
  EXPECT_EQ(first.body, R"({"tenant":"acme","plan":"pro"})");
  EXPECT_NE(first.head.find("ETag: \"17\"\r\n"), std::string::npos) << first.head;
  HttpClient client(rest_->port());
  client.send(std::string("GET /v1/tenants/acme/context HTTP/1.1\r\nHost: a\r\nIf-None-Match: "
                          "\"17\"\r\nAuthorization: Bearer ") +
              kAdminToken + "\r\n\r\n");
  const auto again = client.read_response();
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
}

TEST_F(RestTest, TakesBodiesInChunksAndPiecesAndManyRequestsAtOnce) {
  serve();
  HttpClient client(rest_->port());
  client.send(std::string("POST /v1/jointokens HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
                          "\r\nAuthorization: Bearer ") +
              kAdminToken + "\r\n\r\n8\r\n{\"cluste\r\n");
  client.send("7\r\nr\":\"a\"}\r\n0\r\n\r\n");
  EXPECT_EQ(client.read_response().body, R"({"token":"name.secret"})");
  std::string many;
  for (int i = 0; i < 500; ++i) many += "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send(many);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(client.read_response().body, "ok\n");
}

TEST_F(RestTest, NothingIsHeldForABodyOfWhomNoneIsTaken) {
  serve();
  HttpClient client(rest_->port());
  client.send("POST /v1/jointokens HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n{");
  EXPECT_EQ(client.read_response().status, 401);
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(RestTest, OneAddressCannotTakeAllConnections) {
  RestLimits limits;
  limits.connections = 100;
  limits.per_address = 2;
  serve(limits);
  HttpClient first(rest_->port());
  HttpClient second(rest_->port());
  EXPECT_EQ(first.request("GET", "/healthz").status, 200);
  EXPECT_EQ(second.request("GET", "/healthz").status, 200);
  HttpClient third(rest_->port());
  EXPECT_EQ(third.read_all(), "");
  EXPECT_EQ(rest_->connections().refused(), 1U);
}

TEST_F(RestTest, AStreamContinuesWhereTheClientsLastEventWas) {
  serve();
  HttpClient client(rest_->port());
  client.send(std::string("GET /v1/watch HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1\r\n"
                          "Authorization: Bearer ") +
              kViewerToken + "\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 410);  // what the test's handler says to revision 1
}

TEST(PercentDecode, ReadsWhatIsWellFormedOnly) {
  EXPECT_EQ(*percent_decode("a%20b%2fC", Plus::kLiteral), "a b/C");
  EXPECT_EQ(*percent_decode("a+b", Plus::kSpace), "a b");
  EXPECT_EQ(*percent_decode("a+b", Plus::kLiteral), "a+b");
  for (const char* text : {"%", "%2", "%zz", "a%g0"})
    EXPECT_FALSE(percent_decode(text, Plus::kSpace));
}

TEST(HostPort, ReadsAddressesOfBothFamilies) {
  EXPECT_EQ(parse_host_port("127.0.0.1:80")->port, 80);
  EXPECT_EQ(parse_host_port("[::1]:80")->host, "::1");
  for (const char* text : {"", ":", "a", "a:", ":1", "a:x", "a:70000"})
    EXPECT_FALSE(parse_host_port(text)) << text;
}

}  // namespace
}  // namespace frameworks
