// Who begins the handshake with a peer that is new, and when.
//
// Without being asked WireGuard begins one only when there is something to send, and a peer that
// knew this node before it restarted would go on with the old session's keys for 15 s. Therefore
// new peers are greeted: an empty datagram makes WireGuard begin.
//
// Two nodes learn of each other at nearly the same time, and handshakes that cross on the way are
// lost: each end takes the other's initiation and then drops the answer to its own. With
// wireguard-go it may end worse: both are taken at once, and what has come of it carries packets
// one way only, for 15 s. Neither end may begin another for 5 s (REKEY_TIMEOUT), except with a peer
// that is new to it. Therefore the end with the higher address begins, and begins anew, more than
// once, where no session has come of it: what it sent may have reached a node that did not know it
// yet, or have waited for the way to come up. The other end begins only when it has heard nothing
// until then.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/mesh/wireguard.h"

namespace frameworks {

struct Greeting {
  WireguardPeer peer;
  uint32_t address = 0;  // whom to greet: IPv4, as a number
  bool anew = false;     // the peer is to be taken away and added again first
};

// Not threadsafe.
class Greetings {
 public:
  // After its own greeting the end that begins looks again three times, the first time when a
  // handshake with the other end of the world would be done.
  static constexpr std::chrono::milliseconds kLooks[] = {
      std::chrono::milliseconds(0), std::chrono::milliseconds(700),
      std::chrono::milliseconds(2'100), std::chrono::milliseconds(4'900)};
  // When the other end begins: between two of these, so that they do not cross.
  static constexpr std::chrono::milliseconds kOther{1'050};

  // `wanted` was set where there was `present`. Peers that wait already go on waiting.
  void update(const WireguardConfig& present, const WireguardConfig& wanted, MonoTime now);
  // When somebody is due; nothing: nobody waits.
  [[nodiscard]] std::optional<MonoTime> next() const;
  // Who is due. Who is not among `without_session`, public keys, waits no more.
  std::vector<Greeting> take(MonoTime now, const std::set<std::string>& without_session);

 private:
  struct Waiting {
    WireguardPeer peer;
    uint32_t address = 0;
    bool begins = false;  // this end
    MonoTime since;
    size_t looks = 0;  // had so far

    [[nodiscard]] MonoTime next() const { return since + (begins ? kLooks[looks] : kOther); }
  };
  std::map<std::string, Waiting> waiting_;  // by public key
};

}  // namespace frameworks
