// Ports of the host's own network that lead into the fabric, so that people on the host reach a
// server in it. TCP; bytes are passed on as they are, including a half-closed direction.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip.h"

namespace frameworks::hostd {

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;
};
struct Publication {
  Endpoint listen;  // loopback only
  Endpoint target;  // in the fabric
};

// "127.0.0.1:18002=10.99.0.1:18002"
Result<Publication> parse_publication(std::string_view text);

// One thread. Started once; a connection that comes while there is no fabric is closed at once.
class Relay {
 public:
  static constexpr size_t kMostConnections = 256;

  Relay(std::filesystem::path target_namespace, std::vector<Publication> publications);
  ~Relay();

  // Listens in the caller's network namespace.
  Status start();
  void stop();
  // Where it listens, in the order given; of use when the port asked for was 0.
  [[nodiscard]] std::vector<uint16_t> ports() const;

 private:
  struct Listener {
    Fd socket;
    Endpoint target;
    uint16_t port = 0;
  };
  struct Connection;

  void loop();
  void accept_one(const Listener& listener);
  void serve(const std::shared_ptr<Connection>& connection);
  void close(const std::shared_ptr<Connection>& connection);

  std::filesystem::path target_namespace_;
  std::vector<Publication> publications_;
  std::vector<Listener> listeners_;
  std::unordered_map<int, std::shared_ptr<Connection>> connections_;  // two descriptors each
  Fd epoll_;
  Fd wake_;
  std::jthread thread_;
};

}  // namespace frameworks::hostd
