// Connections as they come in, bounded: in all, and of one address. Both transports accept through
// one of these, so that no number of connections keeps the server from opening its own files.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "base/locked.h"

namespace frameworks {

struct ConnectionLimits {
  int connections = 1024;
  int per_address = 1024;
};

// "10.0.0.1:80", "[::1]:80" → host and port; kInvalidArgument otherwise.
struct HostPort {
  std::string host;
  uint16_t port = 0;
};
Result<HostPort> parse_host_port(std::string_view text);

// Counts what is open. Threadsafe.
class ConnectionCount {
 public:
  explicit ConnectionCount(ConnectionLimits limits) : limits_(limits) {}
  // False when it is one too many.
  bool enter(const std::string& address);
  void leave(const std::string& address);
  [[nodiscard]] int open() const;
  [[nodiscard]] uint64_t refused() const;

 private:
  struct Counts {
    int open = 0;
    uint64_t refused = 0;
    std::map<std::string, int, std::less<>> by_address;
  };
  const ConnectionLimits limits_;
  Locked<Counts> counts_;
};

struct Accepted {
  Fd fd;                // non-blocking, invalid: nothing there, or it was refused
  std::string address;  // of the peer, as counted: give it back by ConnectionCount::leave()
  bool local = false;   // the peer is this host
  bool more = false;    // ask again at once
};

// "192.0.2.1" or "2001:db8::1" of such an address.
std::string address_text(const std::string& address);

// A listening socket. One thread at a time accepts.
class Acceptor {
 public:
  // `address` as "127.0.0.1:0".
  static Result<Acceptor> listen(const std::string& address);
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] int port() const { return port_; }
  // Never waits. Out of descriptors it closes what comes in rather than letting it hang.
  Accepted accept(ConnectionCount& count);

 private:
  Acceptor(Fd fd, int port);
  void refuse_one();
  Fd fd_;
  Fd spare_;  // given up for a moment when no descriptor is left
  int port_ = 0;
};

// Raises the soft limit of open files to the hard one; tells what it is now.
int raise_file_limit();

}  // namespace frameworks
