// Clients that mean no good, or do no better, at the real server: what they ask for is refused or
// bounded, others are answered meanwhile, and all is as before when they are gone.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "frameworks/v1/tenant.pb.h"
#include "server/fake_agent.h"
#include "server/fleet_client.h"
#include "server/server_process.h"

namespace frameworks {
namespace {

using std::chrono::seconds;

// Bytes over TCP, from an address of this host, with no more buffer than wanted.
class RawClient {
 public:
  explicit RawClient(int port, const char* from = "127.0.0.1", int receive_buffer = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    inet_pton(AF_INET, from, &own.sin_addr);
    (void)::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own);
    if (receive_buffer > 0)
      setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval timeout{60, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fd_.reset();
  }
  // False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  // All that comes until the server closes.
  std::string read_all() {
    std::string out;
    char bytes[4096];
    for (ssize_t count = 1; count > 0;) {
      count = ::recv(fd_.get(), bytes, sizeof bytes, 0);
      if (count > 0) out.append(bytes, static_cast<size_t>(count));
    }
    return out;
  }
  // Whether the server has closed it, without waiting.
  bool closed() {
    char byte = 0;
    const ssize_t count = ::recv(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  }
  // Whether the server has answered or closed it, without waiting.
  bool is_over() {
    char byte = 0;
    const ssize_t count = ::recv(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return count >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }

 private:
  Fd fd_;
};

class BadInputTest : public ::testing::Test {
 protected:
  static constexpr rlim_t kFiles = 512;

  BadInputTest() : directory_(std::move(*TemporaryDirectory::make())) {
    state_ = directory_.path() / "state";
    server_ = std::make_unique<ServerProcess>(state_, kFiles);
    client_ = std::make_unique<FleetClient>(state_, server_->grpc_port());
    client_->apply(
        FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: acme}\n"));
  }
  ~BadInputTest() override {
    const int status = server_->end(SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << server_->log();
  }

  // An operator on a new connection, from an address of its own.
  bool rest_answers() {
    RawClient client(server_->rest_port(), "127.0.0.77");
    client.send(
        "GET /v1/whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " +
        client_->token() + "\r\n\r\n");
    return client.read_all().starts_with("HTTP/1.1 200");
  }
  // On the connection that is open.
  bool grpc_answers() {
    pb::GetRequest request;
    request.set_kind("tenant");
    request.set_name("acme");
    pb::GetResponse response;
    return client_->call("Fleet/Get", request, response).ok();
  }
  bool writes(const std::string& plan) {
    pb::ApplyResponse response;
    return client_
        ->call("Fleet/Apply",
               FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: acme}\n"
                                 "spec: {plan: " +
                                 plan + "}\n"),
               response)
        .ok();
  }
  std::string head(const std::string& verb_and_path, const std::string& more) {
    return verb_and_path + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + client_->token() +
           "\r\n" + more + "\r\n";
  }
  void many_tenants(int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += "---\napiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: t" +
              std::to_string(i) + "}\nspec: {displayName: " + std::string(200, 'x') + "}\n";
    client_->apply(FleetClient::yaml(text));
  }

  TemporaryDirectory directory_;
  std::filesystem::path state_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<FleetClient> client_;
};

TEST_F(BadInputTest, OversizedRequestsAreRefusedByBothTransports) {
  RawClient length(server_->rest_port());
  length.send(head("POST /v1/apply", "Content-Length: 34603008\r\n"));
  EXPECT_TRUE(length.read_all().starts_with("HTTP/1.1 413"));
  RawClient nobody(server_->rest_port());  // of whom nothing is taken
  nobody.send("POST /v1/apply HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_TRUE(nobody.read_all().starts_with("HTTP/1.1 401"));
  RawClient headers(server_->rest_port());
  headers.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(40'000, 'x'));
  EXPECT_TRUE(headers.read_all().starts_with("HTTP/1.1 431"));

  pb::ApplyRequest large;
  large.set_request_id(std::string(33 << 20, 'x'));
  pb::ApplyResponse response;
  const auto status = client_->call("Fleet/Apply", large, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_TRUE(rest_answers() && grpc_answers());
}

// As much as one may send, deeply nested, or as very many things.
TEST_F(BadInputTest, WhatIsLargeWithinTheLimitIsAnsweredInBoundedMemory) {
  const size_t before = server_->resident();
  const std::vector<std::string> bodies{
      "{\"items\":" + std::string(4 << 20, '['), "{\"items\":[" + std::string(200'000, '{') + "]}",
      R"({"requestId":")" + std::string(30 << 20, 'a') + "\"}", "{\"items\":[{}" + [] {
        std::string out;
        for (int i = 0; i < 300'000; ++i) out += ",{}";
        return out;
      }() + "]}"};
  for (const std::string& body : bodies) {
    RawClient client(server_->rest_port());
    client.send(head("POST /v1/apply", "Connection: close\r\nContent-Length: " +
                                           std::to_string(body.size()) + "\r\n") +
                body);
    const std::string answer = client.read_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 200"))
        << answer.substr(0, 300);
  }
  EXPECT_TRUE(grpc_answers());
  EXPECT_LT(server_->resident(), before + 600);
}

TEST_F(BadInputTest, ABodyThatDoesNotEndIsCutAtTheLimit) {
  const size_t before = server_->resident();
  RawClient client(server_->rest_port());
  client.send(head("POST /v1/apply", "Transfer-Encoding: chunked\r\n"));
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  // What comes after the refusal is thrown away for two seconds, then the connection is closed.
  const auto limit = system_clock().mono() + std::chrono::seconds(20);
  bool open = true;
  while (open && system_clock().mono() < limit) open = client.send(chunk);
  EXPECT_FALSE(open);
  EXPECT_TRUE(rest_answers() && grpc_answers());
  EXPECT_LT(server_->resident(), before + 200);
}

// Bodies that are begun and not ended hold no more together than the server grants all of them.
TEST_F(BadInputTest, ManyLargeBodiesAtOnceAreBoundedTogether) {
  const size_t before = server_->resident();
  std::vector<std::unique_ptr<RawClient>> clients;
  const std::string part(1 << 20, 'x');
  int refused = 0;
  for (int i = 0; i < 30; ++i) {
    auto& client = clients.emplace_back(std::make_unique<RawClient>(server_->rest_port()));
    client->send(head("POST /v1/apply", "Content-Length: 33000000\r\n"));
    for (int j = 0; j < 12; ++j)
      if (!client->send(part)) break;
  }
  for (auto& client : clients) refused += client->is_over() ? 1 : 0;
  EXPECT_GT(refused, 15);  // 256 MiB are seven of them
  EXPECT_LT(server_->resident(), before + 500);
  EXPECT_TRUE(rest_answers() && grpc_answers() && writes("gold"));
  clients.clear();
  EXPECT_TRUE(eventually([&] {
    RawClient client(server_->rest_port());
    const std::string body = R"({"requestId":")" + std::string(20 << 20, 'a') + "\"}";
    client.send(head("POST /v1/apply", "Connection: close\r\nContent-Length: " +
                                           std::to_string(body.size()) + "\r\n") +
                body);
    return client.read_all().starts_with("HTTP/1.1 200");
  }));
}

// All of them at once, since each takes as long as the server's patience: 30 s.
TEST_F(BadInputTest, WhoIsSlowIsLetGoAndNobodyElseWaits) {
  many_tenants(3000);
  const size_t before = server_->resident();
  std::vector<std::unique_ptr<RawClient>> slow;
  const auto add = [&](const std::string& bytes, int receive_buffer = 0) {
    slow.push_back(std::make_unique<RawClient>(server_->rest_port(), "127.0.0.1", receive_buffer));
    slow.back()->send(bytes);
  };
  for (int i = 0; i < 10; ++i) {
    add("");                                                       // says nothing
    add("GET / HTTP/1.1\r\nHost: a\r\nX-");                        // never ends its head
    add(head("POST /v1/apply", "Content-Length: 100\r\n") + "{");  // nor its body
    add(head("POST /v1/apply", "Transfer-Encoding: chunked\r\n") + "1\r\n{\r\n");
    add(head("GET /v1/resources/tenants", ""), 4096);    // does not read a large answer
    add(head("GET /v1/watch?kinds=tenants", ""), 4096);  // nor a watch
  }
  const auto began = system_clock().mono();
  size_t dripped = 0;
  bool all_closed = false;
  while (!all_closed && system_clock().mono() - began < seconds(60)) {
    // One sends its head a byte a second.
    if (slow[1]->send("x")) ++dripped;
    EXPECT_TRUE(rest_answers());
    EXPECT_TRUE(grpc_answers());
    EXPECT_TRUE(writes("p" + std::to_string(dripped)));
    system_clock().sleep_for(seconds(1), {});
    all_closed = true;
    for (size_t i = 0; i < slow.size(); ++i)
      if (i % 6 < 4 && !slow[i]->closed()) all_closed = false;
  }
  EXPECT_TRUE(all_closed) << "after " << (system_clock().mono() - began) / seconds(1) << " s";
  EXPECT_LT(server_->resident(), before + 200);
}

TEST_F(BadInputTest, AWatcherThatDoesNotReadIsLetGoAndCostsBoundedMemory) {
  const size_t before = server_->resident();
  std::vector<std::unique_ptr<RawClient>> watchers;
  for (int i = 0; i < 20; ++i) {
    watchers.push_back(std::make_unique<RawClient>(server_->rest_port(), "127.0.0.1", 4096));
    watchers.back()->send(head("GET /v1/watch?kinds=tenants", ""));
  }
  // gRPC's does not read either.
  grpc::ClientContext context;
  authorize_call(context, client_->token());
  const auto stub = pb::Fleet::NewStub(client_->channel());
  const auto reader = stub->Watch(&context, pb::WatchRequest());
  for (int round = 0; round < 30; ++round) {
    std::string text;
    for (int i = 0; i < 100; ++i)
      text += "---\napiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: w" +
              std::to_string(i) + "}\nspec: {displayName: r" + std::to_string(round) +
              std::string(500, 'x') + "}\n";
    client_->apply(FleetClient::yaml(text));
  }
  EXPECT_LT(server_->resident(), before + 150);
  EXPECT_TRUE(rest_answers());
  context.TryCancel();
}

TEST_F(BadInputTest, IdleConnectionsTakeNoMoreThanTheirShare) {
  const rlimit many{8192, 8192};
  rlimit own{};
  getrlimit(RLIMIT_NOFILE, &own);
  if (own.rlim_max < many.rlim_cur) GTEST_SKIP() << "may not open 8192 files";
  own.rlim_cur = own.rlim_max;
  setrlimit(RLIMIT_NOFILE, &own);
  client_->apply(
      FleetClient::yaml("apiVersion: frameworks/v1\nkind: Cluster\nmetadata: {name: edge}\nspec: "
                        "{tier: edge, region: eu-west, "
                        "networks: {mesh: 10.64.1.0/24}}\n---\napiVersion: frameworks/v1\nkind: "
                        "Node\nmetadata: {name: "
                        "edge-1}\nspec: {cluster: edge, address: 192.0.2.7}\n"));
  FakeAgent agent(state_, server_->grpc_port(), "edge-1");
  const auto healthy = [&] {
    return client_->get<pb::Node>("edge-1").status().health().state() == pb::HEALTH_HEALTHY;
  };
  ASSERT_TRUE(eventually(healthy));
  std::vector<std::unique_ptr<RawClient>> idle;
  for (const int port : {server_->rest_port(), server_->grpc_port()})
    for (int i = 0; i < 2 * static_cast<int>(kFiles); ++i)
      idle.push_back(std::make_unique<RawClient>(port));
  // Who was connected goes on; who comes from elsewhere is let in.
  EXPECT_TRUE(grpc_answers());
  EXPECT_TRUE(rest_answers());
  EXPECT_TRUE(writes("gold"));
  // An agent that is not heard is down after a few heartbeats of 250 ms.
  const auto until = system_clock().mono() + seconds(4);
  while (system_clock().mono() < until && healthy())
    system_clock().sleep_for(std::chrono::milliseconds(100), {});
  EXPECT_TRUE(healthy()) << "the agent is not heard";
  idle.clear();
  EXPECT_TRUE(eventually([&] {
    FleetClient again(state_, server_->grpc_port());
    pb::StatusRequest request;
    pb::StatusResponse response;
    return again.call("Fleet/Status", request, response).ok();
  }));
}

}  // namespace
}  // namespace frameworks
