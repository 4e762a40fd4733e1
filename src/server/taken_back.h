// Connections whose requests are taken back before they were read (HTTP/2 RST_STREAM), again and
// again: each costs its sender a few bytes, and the server much more (CVE-2023-44487). gRPC counts
// none of them; who does it too often loses the connection.
#pragma once

#include <map>
#include <string>

#include "base/clock.h"
#include "base/locked.h"

namespace frameworks {

class TakenBack {
 public:
  // On one connection within a second; callers that give up take back one at a time.
  static constexpr int kMost = 100;

  // Notes one of a connection (gRPC's name of it, "ipv4:192.0.2.1:4711"). True once it has to go.
  bool note(const std::string& peer, MonoTime now);

 private:
  struct Second {
    MonoTime began{};
    int count = 0;
  };
  Locked<std::map<std::string, Second, std::less<>>> seconds_;
};

// Ends this process's TCP connection with that peer, as if the network had. False: there is none.
bool cut_connection(const std::string& address, int port);

}  // namespace frameworks
