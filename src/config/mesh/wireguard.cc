#include "config/mesh/wireguard.h"

#include <algorithm>

namespace frameworks {
namespace {

void sort_unique(std::vector<std::string>& texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
}

}  // namespace

WireguardConfig normalized(WireguardConfig config) {
  sort_unique(config.addresses);
  for (WireguardPeer& peer : config.peers) sort_unique(peer.allowed_ips);
  std::sort(
      config.peers.begin(), config.peers.end(),
      [](const WireguardPeer& a, const WireguardPeer& b) { return a.public_key < b.public_key; });
  return config;
}

std::vector<std::string> routed_prefixes(const WireguardConfig& config) {
  std::vector<std::string> out;
  for (const WireguardPeer& peer : config.peers)
    out.insert(out.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
  sort_unique(out);
  return out;
}

}  // namespace frameworks
