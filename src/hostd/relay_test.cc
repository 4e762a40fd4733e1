#include "hostd/relay.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <thread>

namespace frameworks::hostd {
namespace {

TEST(Publication, IsALoopbackPortAndATarget) {
  const auto good = parse_publication("127.0.0.1:18002=10.99.0.1:8080");
  ASSERT_TRUE(good) << good.error().text();
  EXPECT_EQ(good->listen.port, 18002);
  EXPECT_EQ(good->target.address.text(), "10.99.0.1");
  for (const char* bad :
       {"", "18002", "127.0.0.1:18002", "0.0.0.0:1=10.99.0.1:1", "127.0.0.1:x=1.2.3.4:5",
        "127.0.0.1:70000=10.99.0.1:1", "127.0.0.1:1=10.99.0.1:", "[::1]:1=10.99.0.1:1"})
    EXPECT_FALSE(parse_publication(bad)) << bad;
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

std::string read_all(int fd) {
  std::string out;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = recv(fd, buffer.data(), buffer.size(), 0)) > 0;)
    out.append(buffer.data(), static_cast<size_t>(n));
  return out;
}

TEST(Relay, PassesBytesBothWaysAndAHalfClose) {
  if (geteuid() != 0) GTEST_SKIP() << "entering a network namespace needs root";
  // A target that reads to the end and then answers with what it has read.
  const Fd target(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(target.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(target.get(), 8), 0);
  getsockname(target.get(), reinterpret_cast<sockaddr*>(&address), &size);
  std::jthread echo([&] {
    const Fd peer(accept(target.get(), nullptr, nullptr));
    const std::string text = read_all(peer.get());
    for (size_t at = 0; at < text.size();) {
      const ssize_t n = send(peer.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<size_t>(n);
    }
  });

  const auto here = *IpAddress::parse("127.0.0.1");
  Relay relay("/proc/self/ns/net", {{{here, 0}, {here, ntohs(address.sin_port)}}});
  ASSERT_TRUE(relay.start());
  const Fd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = loopback(relay.ports().at(0));
  ASSERT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  const std::string sent(1 << 20, 'x');
  std::jthread writer([&] {
    for (size_t at = 0; at < sent.size();) {
      const ssize_t n = send(client.get(), sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<size_t>(n);
    }
    shutdown(client.get(), SHUT_WR);
  });
  EXPECT_EQ(read_all(client.get()).size(), sent.size());
}

}  // namespace
}  // namespace frameworks::hostd
