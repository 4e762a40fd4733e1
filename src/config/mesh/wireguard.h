// The seam to WireGuard: one interface, whole desired state.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace frameworks {

struct WireguardPeer {
  std::string public_key;  // base64
  std::string endpoint;    // "address:port"
  std::vector<std::string> allowed_ips;
  int keepalive = 0;  // seconds; 0: off

  bool operator==(const WireguardPeer&) const = default;
};

// Peers are sorted by key, prefixes as texts; see normalized().
struct WireguardConfig {
  std::string private_key;  // base64
  int listen_port = 0;
  std::vector<std::string> addresses;  // of the interface, with prefix length
  std::vector<WireguardPeer> peers;

  bool operator==(const WireguardConfig&) const = default;
};

// Sorted and without duplicates, so that equal configurations compare equal.
WireguardConfig normalized(WireguardConfig config);

// Every prefix that some peer carries: what is routed into the interface. Sorted.
std::vector<std::string> routed_prefixes(const WireguardConfig& config);

enum class Effect { kNothing, kChanged };

// One WireGuard interface of one network namespace, marked as ours by its alias. Not threadsafe.
class Wireguard {
 public:
  virtual ~Wireguard() = default;
  // "kernel", "wireguard-go" or "fake"; what set() uses or will use.
  virtual std::string backend() = 0;
  // The interface as it is, with the prefixes routed into it as `routes`. No addresses and no key
  // when there is no interface.
  struct Observed {
    bool exists = false;
    WireguardConfig config;
    std::vector<std::string> routes;
  };
  virtual Result<Observed> observe() = 0;
  // Makes the interface, its addresses, peers and routes exactly so; sessions of peers that stay
  // are not disturbed. kFailedPrecondition: an interface of that name is not ours.
  virtual Result<Effect> set(const WireguardConfig& config) = 0;
};

// By the programs `wg`, `ip` and, where the kernel has no WireGuard, `wireguard-go`, in the network
// namespace of the calling thread. wireguard-go outlives this process and is found again.
std::unique_ptr<Wireguard> make_wireguard(std::string interface);

}  // namespace frameworks
