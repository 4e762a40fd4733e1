#include "config/mesh/greetings.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

#include "base/ip.h"

namespace frameworks {
namespace {

// The first host's address among them, as a number.
std::optional<uint32_t> host_address(const std::vector<std::string>& prefixes) {
  for (const std::string& text : prefixes) {
    const auto prefix = Cidr::parse(text);
    if (!prefix || !prefix->address().is_v4() || prefix->prefix() != 32) continue;
    uint32_t address = 0;
    std::memcpy(&address, prefix->address().bytes().data(), sizeof address);
    return ntohl(address);
  }
  return {};
}

}  // namespace

void Greetings::update(const WireguardConfig& present, const WireguardConfig& wanted,
                       MonoTime now) {
  std::set<std::string> known;
  for (const WireguardPeer& peer : present.peers) known.insert(peer.public_key);
  const auto own = host_address(wanted.addresses);
  std::map<std::string, Waiting> waiting;
  for (const WireguardPeer& peer : wanted.peers) {
    const auto address = host_address(peer.allowed_ips);
    if (!address) continue;
    const auto before = waiting_.find(peer.public_key);
    if (!known.contains(peer.public_key)) {
      waiting[peer.public_key] = {peer, *address, own && *own > *address, now};
    } else if (before != waiting_.end()) {
      before->second.peer = peer;
      before->second.address = *address;
      waiting.insert(waiting_.extract(before));
    }
  }
  waiting_ = std::move(waiting);
}

std::optional<MonoTime> Greetings::next() const {
  const auto first = std::min_element(
      waiting_.begin(), waiting_.end(),
      [](const auto& a, const auto& b) { return a.second.next() < b.second.next(); });
  if (first == waiting_.end()) return {};
  return first->second.next();
}

bool Greetings::take(Waiting& waiting, std::vector<Greeting>& out) {
  out.push_back({waiting.peer, waiting.address, waiting.begins && waiting.looks > 0});
  return waiting.begins && ++waiting.looks < std::size(kLooks);
}

}  // namespace frameworks
