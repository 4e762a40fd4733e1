#include "base/web_client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/locked.h"
#include "base/web_url.h"

namespace frameworks {
namespace {

std::string problem(std::string_view url) {
  const auto parsed = parse_web_url(url);
  return parsed ? "taken" : parsed.error().message();
}

TEST(WebUrl, IsHttpsOrOnThisHost) {
  for (const char* url :
       {"https://id.example.org", "https://id.example.org/a?b=c", "https://[2001:db8::1]:8443/",
        "http://127.0.0.1:1", "http://127.9.9.9/", "http://[::1]:80/x", "http://localhost:8080"})
    EXPECT_EQ(problem(url), "taken") << url;
  const auto parsed = parse_web_url("https://[2001:db8::1]:8443/a:b");
  EXPECT_EQ(parsed->host, "2001:db8::1");
  EXPECT_EQ(parsed->port, 8443);
  for (const char* url :
       {"http://id.example.org", "http://128.0.0.1/", "http://[::2]/", "http://localhost.evil.org/",
        "http://127.0.0.1.evil.org/", "http://2130706433/"})
    EXPECT_EQ(problem(url), "is plain http to another host: use https") << url;
}

TEST(WebUrl, LeavesNoRoomForASecondReading) {
  for (const char* url : {"",
                          "https://",
                          "https:///x",
                          "ftp://a",
                          "file:///etc/passwd",
                          "HTTPS://a",
                          "//a",
                          "https://a@b/",
                          "http://127.0.0.1@evil.org/",
                          "https://a\\@b/",
                          "https://a b/",
                          "https://a/\r\nX: y",
                          "https://a/#x",
                          "https://a:0/",
                          "https://a:65536/",
                          "https://a:/",
                          "https://a:1x/",
                          "https://[::1",
                          "https://[a]/",
                          "https://[::1]x/",
                          "https://a_b/",
                          "https://\xc3\xa4/",
                          "https://%61/"})
    EXPECT_NE(problem(url), "taken") << url;
  EXPECT_NE(problem("https://" + std::string(3000, 'a')), "taken");
}

TEST(WebForm, EncodesWhatAFormMayNotHold) {
  EXPECT_EQ(form_encode({{"scope", "openid e-mail"}, {"x", "a&b=c+d/\xc3\xa4"}}),
            "scope=openid%20e-mail&x=a%26b%3Dc%2Bd%2F%C3%A4");
  EXPECT_EQ(form_encode({}), "");
}

// Gives each connection the same bytes, and then closes it, or not.
class RawServer {
 public:
  enum class After { kClose, kHold };
  RawServer(std::string answer, After after) : answer_(std::move(answer)), after_(after) {
    listen_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listen_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listen_.get(), 8), 0);
    getsockname(listen_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }
  ~RawServer() {
    shutdown(listen_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
  int connections() const { return connections_; }
  std::string request() const {
    return request_.with([](const std::string& text) { return text; });
  }

 private:
  void serve() {
    while (true) {
      Fd peer(accept4(listen_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer.valid()) return;
      ++connections_;
      char bytes[4096];
      std::string request;
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = recv(peer.get(), bytes, sizeof bytes, 0);
        if (count <= 0) break;
        request.append(bytes, static_cast<size_t>(count));
        if (request.front() == kTlsHandshake) break;
      }
      request_.with([&](std::string& text) { text = request; });
      send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
      if (after_ == After::kHold) held_.push_back(std::move(peer));
    }
  }

  static constexpr char kTlsHandshake = 22;
  const std::string answer_;
  const After after_;
  Fd listen_;
  int port_ = 0;
  std::atomic<int> connections_{0};
  Locked<std::string> request_;
  std::vector<Fd> held_;
  std::jthread thread_;
};

TEST(WebClient, GivesTheAnswerWhateverItsStatus) {
  RawServer server("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
                   RawServer::After::kClose);
  const auto answer = make_web_client()->ask({.url = server.url(),
                                              .content_type = "text/plain",
                                              .content = "hello",
                                              .headers = {"X-A: b"}});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->body, "gone");
  EXPECT_TRUE(server.request().starts_with("POST / HTTP/1.1\r\n"));
  EXPECT_NE(server.request().find("X-A: b\r\n"), std::string::npos);
}

TEST(WebClient, FollowsNoRedirect) {
  RawServer elsewhere("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", RawServer::After::kClose);
  RawServer server(
      "HTTP/1.1 302 Found\r\nLocation: " + elsewhere.url() + "\r\nContent-Length: 0\r\n\r\n",
      RawServer::After::kClose);
  const auto answer = make_web_client()->ask({.url = server.url()});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 302);
  EXPECT_EQ(elsewhere.connections(), 0);
}

TEST(WebClient, TakesNoMoreThanTheLimit) {
  RawServer server("HTTP/1.1 200 OK\r\n\r\n" + std::string(100'000, 'x'), RawServer::After::kClose);
  const auto client = make_web_client();
  EXPECT_EQ(client->ask({.url = server.url(), .limit = 99'999}).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(client->ask({.url = server.url(), .limit = 100'000})->body.size(), 100'000u);
}

TEST(WebClient, DoesNotWaitForEver) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", RawServer::After::kHold);
  const auto client = make_web_client();
  EXPECT_EQ(
      client->ask({.url = server.url(), .timeout = std::chrono::milliseconds(200)}).error().code(),
      Code::kDeadlineExceeded);
  std::stop_source stop;
  std::jthread stopper([&] {
    system_clock().sleep_for(std::chrono::milliseconds(50), {});
    stop.request_stop();
  });
  const MonoTime begin = system_clock().mono();
  const auto stopped = client->ask(
      {.url = server.url(), .timeout = std::chrono::seconds(60), .stop = stop.get_token()});
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
  EXPECT_LT(system_clock().mono() - begin, std::chrono::seconds(30));
}

TEST(WebClient, SaysWhoIsNotReached) {
  std::string url;
  { url = RawServer("", RawServer::After::kClose).url(); }
  const auto refused = make_web_client()->ask({.url = url});
  EXPECT_EQ(refused.error().code(), Code::kUnavailable);
  EXPECT_NE(refused.error().message().find(url), std::string::npos);
  EXPECT_EQ(make_web_client()->ask({.url = "http://example.org/"}).error().code(),
            Code::kInvalidArgument);
  // Plain HTTP where TLS is asked for.
  RawServer plain("HTTP/1.1 200 OK\r\n\r\n", RawServer::After::kClose);
  const std::string https = "https" + plain.url().substr(4);
  EXPECT_EQ(make_web_client()->ask({.url = https}).error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace frameworks
