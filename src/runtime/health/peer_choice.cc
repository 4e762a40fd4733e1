#include "runtime/health/peer_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"

namespace frameworks {
namespace {

constexpr size_t kTargets = 4;
constexpr int kDefaultSshPort = 22;

std::string target(const std::string& address, int port) {
  const bool is_v6 = address.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

std::string region_of(const Snapshot& snapshot, const std::string& cluster) {
  const auto* found = snapshot.find<pb::Cluster>(cluster);
  return found == nullptr ? std::string() : found->spec().region();
}

}  // namespace

std::vector<PeerCandidate> peer_candidates(const Snapshot& snapshot,
                                           const std::vector<std::string>& nodes) {
  std::vector<PeerCandidate> out;
  for (const std::string& name : nodes) {
    const auto* node = snapshot.find<pb::Node>(name);
    if (node == nullptr) continue;
    const std::string& cluster = node->spec().cluster();
    out.push_back({name, cluster, region_of(snapshot, cluster)});
  }
  return out;
}

std::vector<std::string> choose_peers(const Snapshot& snapshot, const pb::Node& silent,
                                      const std::vector<PeerCandidate>& candidates) {
  constexpr int kRanks = 4;
  const std::string region = region_of(snapshot, silent.spec().cluster());
  std::vector<int> ranks;
  std::vector<std::string_view> regions;  // few
  const auto is_first_of = [&](const std::string& other) {
    if (std::find(regions.begin(), regions.end(), other) != regions.end()) return false;
    regions.push_back(other);
    return true;
  };
  for (const PeerCandidate& peer : candidates)
    ranks.push_back(peer.node == silent.metadata().name()               ? kRanks
                    : peer.region != region && is_first_of(peer.region) ? 0
                    : peer.region != region                             ? 1
                    : peer.cluster != silent.spec().cluster()           ? 2
                                                                        : 3);
  std::vector<std::string> out;
  for (int rank = 0; rank < kRanks; ++rank)
    for (size_t i = 0; i < candidates.size() && out.size() < kPeersAsked; ++i)
      if (ranks[i] == rank) out.push_back(candidates[i].node);
  return out;
}

std::vector<std::string> probe_targets(const Snapshot& snapshot, const pb::Node& node) {
  std::vector<std::string> out;
  const std::string& address = node.spec().address();
  if (address.empty()) return out;
  out.push_back(
      target(address, node.spec().ssh_port() == 0 ? kDefaultSshPort : node.spec().ssh_port()));
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name())) {
    const auto* service = snapshot.find<pb::Service>(instance->spec().service());
    if (service == nullptr) continue;
    for (const pb::Port& port : service->spec().ports()) {
      if (out.size() >= kTargets) return out;
      if (port.exposure() == pb::EXPOSURE_PUBLIC && port.protocol() != pb::PROTOCOL_UDP)
        out.push_back(target(address, port.port()));
    }
  }
  return out;
}

}  // namespace frameworks
