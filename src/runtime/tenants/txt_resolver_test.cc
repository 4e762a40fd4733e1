#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "runtime/tenants/fake_txt_resolver.h"
#include "runtime/tenants/txt_resolver_contract.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

class FakeWorld {
 public:
  FakeWorld() {
    resolver_.set("one.example.test", {"hello"});
    resolver_.set("two.example.test", {"first", "second"});
    resolver_.set("long.example.test", {std::string(300, 'a')});
    resolver_.set("other.example.test", {});
  }
  TxtResolver& resolver() { return resolver_; }
  void silence() { resolver_.set_silent(true); }

 private:
  FakeTxtResolver resolver_;
};

// A socket on loopback, not valid when the port is taken; port 0: any.
Fd socket_on(int port, int type) {
  Fd out(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(port));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(out.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) return {};
  return out;
}

int port_of(const Fd& socket) {
  sockaddr_in at{};
  socklen_t size = sizeof at;
  EXPECT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  return ntohs(at.sin_port);
}

// Free for UDP and TCP: a DNS server takes both.
int free_port() {
  while (true) {
    const Fd udp = socket_on(0, SOCK_DGRAM);
    if (socket_on(port_of(udp), SOCK_STREAM).valid()) return port_of(udp);
  }
}

// dnsmasq with the suite's zone on a free port of loopback.
class DnsWorld {
 public:
  DnsWorld() {
    port_ = free_port();
    server_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
    auto made = make_dns_txt_resolver(fmt::format("127.0.0.1:{}", port_));
    EXPECT_TRUE(made) << made.error().text();
    resolver_ = std::move(*made);
    // It is there once it answers.
    const auto deadline = system_clock().mono() + 15s;
    while (!resolver_->find_txt("one.example.test") && system_clock().mono() < deadline)
      system_clock().sleep_for(20ms, {});
  }
  TxtResolver& resolver() { return *resolver_; }
  void silence() {
    server_.request_stop();
    server_.join();
    mute_ = socket_on(port_, SOCK_DGRAM);
    EXPECT_TRUE(mute_.valid());
  }

 private:
  void serve(const std::stop_token& stop) {
    // Not --keep-in-foreground, with which it closes its outputs: run() then waits for its end.
    const auto done =
        run({.argv = {"dnsmasq", "--no-daemon", "--conf-file=", "--pid-file=", "--user=root",
                      "--no-resolv", "--no-hosts", "--bind-interfaces",
                      "--listen-address=127.0.0.1", fmt::format("--port={}", port_),
                      "--local=/example.test/", "--txt-record=one.example.test,hello",
                      "--txt-record=two.example.test,first", "--txt-record=two.example.test,second",
                      fmt::format("--txt-record=long.example.test,{},{}", std::string(250, 'a'),
                                  std::string(50, 'a')),
                      "--host-record=other.example.test,192.0.2.1"},
             .timeout = std::chrono::minutes(10),
             .stop = stop});
    EXPECT_TRUE(stop.stop_requested()) << (done ? done->err : done.error().text());
  }

  int port_ = 0;
  std::unique_ptr<TxtResolver> resolver_;
  Fd mute_;
  std::jthread server_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, TxtResolverContract, FakeWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Dns, TxtResolverContract, DnsWorld);

TEST(DnsTxtResolver, RefusesWhatIsNoAddress) {
  for (const char* bad : {"nowhere", "127.0.0.1:53:53", "::::", "127.0.0.1:port"}) {
    const auto made = make_dns_txt_resolver(bad);
    EXPECT_TRUE(!made && made.error().code() == Code::kInvalidArgument) << bad;
  }
  EXPECT_TRUE(make_dns_txt_resolver("[::1]:5353"));
  EXPECT_TRUE(make_dns_txt_resolver(""));
}

}  // namespace
}  // namespace frameworks
