#include "config/mesh/greetings.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

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
    const bool is_new = !known.contains(peer.public_key);
    if (!is_new && before == waiting_.end()) continue;
    Waiting& next = waiting[peer.public_key];
    if (is_new) {
      next.since = now;
    } else {
      next = std::move(before->second);
    }
    next.peer = peer;
    next.address = *address;
    next.begins = own && *own > *address;
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

std::vector<Greeting> Greetings::take(MonoTime now, const std::set<std::string>& without_session) {
  std::vector<Greeting> out;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto here = at++;
    Waiting& waiting = here->second;
    if (waiting.next() > now) continue;
    const bool lacks = without_session.contains(here->first);
    if (lacks) out.push_back({waiting.peer, waiting.address, waiting.begins && waiting.looks > 0});
    if (!lacks || !waiting.begins || ++waiting.looks == std::size(kLooks)) waiting_.erase(here);
  }
  return out;
}

}  // namespace frameworks
