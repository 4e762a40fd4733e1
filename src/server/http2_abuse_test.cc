// Frames of HTTP/2 (RFC 9113) that are made to cost the server more than the client, sent to the
// real server's gRPC port over TLS: it goes on for others, in bounded memory.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <csignal>
#include <memory>

#include "base/fd.h"
#include "frameworks/v1/tenant.pb.h"
#include "server/fleet_client.h"
#include "server/server_process.h"

namespace frameworks {
namespace {

constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kContinuation = 9;
constexpr uint8_t kEndStream = 1, kEndHeaders = 4;

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  const auto byte = [](uint32_t value, int shift) {
    return static_cast<char>((value >> shift) & 0xff);
  };
  const auto size = static_cast<uint32_t>(payload.size());
  std::string out{
      byte(size, 16),           byte(size, 8),    byte(size, 0),    static_cast<char>(type),
      static_cast<char>(flags), byte(stream, 24), byte(stream, 16), byte(stream, 8),
      byte(stream, 0)};
  return out + payload;
}

// A literal header field that is (or is not) added to the dynamic table (RFC 7541, 6.2.1), short.
std::string header(const std::string& name, const std::string& value) {
  std::string out(1, '\x40');
  out += static_cast<char>(name.size());
  out += name;
  if (value.size() < 127) {
    out += static_cast<char>(value.size());
  } else {
    out += '\x7f';
    size_t rest = value.size() - 127;
    for (; rest >= 128; rest /= 128) out += static_cast<char>(0x80 | (rest % 128));
    out += static_cast<char>(rest);
  }
  return out + value;
}

// What every gRPC request begins with.
std::string request_head() {
  return "\x83\x87" + header(":path", "/frameworks.v1.Fleet/Get") +
         header(":authority", "localhost") + header("te", "trailers") +
         header("content-type", "application/grpc");
}

// A connection that speaks HTTP/2 over TLS and believes every certificate.
class FrameClient {
 public:
  explicit FrameClient(int port)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        context_(SSL_CTX_new(TLS_client_method())) {
    std::signal(SIGPIPE, SIG_IGN);  // what is written to a connection that was cut is an error
    const timeval timeout{10, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return;
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>("\2h2"), 3);
    SSL_set_tlsext_host_name(ssl_.get(), "localhost");
    SSL_set_fd(ssl_.get(), fd_.get());
    open_ = SSL_connect(ssl_.get()) == 1 &&
            send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, ""));
  }
  [[nodiscard]] bool is_open() const { return open_; }
  // False when the server has closed, or takes nothing any more.
  bool send(const std::string& bytes) {
    size_t written = 0;
    open_ = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1;
    return open_;
  }

 private:
  template <auto Free>
  struct Deleter {
    template <typename T>
    void operator()(T* object) const {
      Free(object);
    }
  };
  Fd fd_;
  std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, Deleter<SSL_free>> ssl_;
  bool open_ = false;
};

class Http2AbuseTest : public ::testing::Test {
 protected:
  Http2AbuseTest() : directory_(std::move(*TemporaryDirectory::make())) {
    state_ = directory_.path() / "state";
    server_ = std::make_unique<ServerProcess>(state_);
    client_ = std::make_unique<FleetClient>(state_, server_->grpc_port());
    client_->apply(
        FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: acme}\n"));
    before_ = server_->resident();
  }
  ~Http2AbuseTest() override {
    EXPECT_LT(server_->resident(), before_ + kGrowth);
    pb::GetRequest request;
    request.set_kind("tenant");
    request.set_name("acme");
    pb::GetResponse response;
    std::string why;
    EXPECT_TRUE(eventually([&] {
      FleetClient again(state_, server_->grpc_port());
      const auto status = again.call("Fleet/Get", request, response);
      why = status.error_message();
      return status.ok();
    })) << "somebody else is not answered: "
        << why;
    const int status = server_->end(SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << server_->log();
  }
  // Sends what `next` makes until the server has enough, or `most` was sent.
  void flood(const std::string& first, size_t most, const std::function<std::string(int)>& next) {
    FrameClient client(server_->grpc_port());
    ASSERT_TRUE(client.is_open());
    if (!first.empty()) {
      ASSERT_TRUE(client.send(first));
    }
    size_t sent = 0;
    for (int i = 0; sent < most; ++i) {
      const std::string bytes = next(i);
      if (!client.send(bytes)) break;
      sent += bytes.size();
      ASSERT_LT(server_->resident(), before_ + kGrowth) << "after " << sent << " bytes";
    }
  }

  static constexpr size_t kGrowth = 64;  // MiB

  TemporaryDirectory directory_;
  std::filesystem::path state_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<FleetClient> client_;
  size_t before_ = 0;
};

TEST_F(Http2AbuseTest, HeadersThatDoNotEnd) {
  flood(frame(kHeaders, 0, 1, request_head()), 64 << 20,
        [](int) { return frame(kContinuation, 0, 1, header("x-more", std::string(8000, 'a'))); });
}

TEST_F(Http2AbuseTest, AFewBytesThatAreManyHeaders) {
  // One large field goes into the dynamic table, then each byte names it again (index 62).
  const std::string large = header("x-large", std::string(4000, 'b'));
  flood("", 16 << 20, [&](int i) {
    const auto stream = static_cast<uint32_t>(2 * i + 1);
    return frame(kHeaders, kEndStream, stream, request_head() + large) +
           frame(kContinuation, kEndHeaders, stream, std::string(16'000, '\xbe'));
  });
}

TEST_F(Http2AbuseTest, RequestsThatAreTakenBackAtOnce) {
  flood("", 16 << 20, [](int i) {
    std::string out;
    for (int j = 0; j < 50; ++j) {
      const auto stream = static_cast<uint32_t>(2 * (50 * i + j) + 1);
      out += frame(kHeaders, kEndHeaders, stream, request_head()) +
             frame(kReset, 0, stream, std::string("\0\0\0\x8", 4));
    }
    return out;
  });
}

TEST_F(Http2AbuseTest, SettingsAndPingsWithoutEnd) {
  flood("", 16 << 20, [](int) {
    std::string out;
    for (int j = 0; j < 100; ++j)
      out += frame(kSettings, 0, 0, "") + frame(kPing, 0, 0, "abcdefgh");
    return out;
  });
}

TEST_F(Http2AbuseTest, DataThatNobodyAskedFor) {
  flood(frame(kHeaders, kEndHeaders, 1, request_head()), 64 << 20,
        [](int) { return frame(kData, 0, 1, std::string(16'000, 'c')); });
}

}  // namespace
}  // namespace frameworks
