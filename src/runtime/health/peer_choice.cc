#include "runtime/health/peer_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

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

std::vector<std::string> choose_peers(const Snapshot& snapshot, const pb::Node& silent,
                                      const std::vector<std::string>& candidates) {
  const std::string region = region_of(snapshot, silent.spec().cluster());
  std::vector<std::pair<int, std::string>> ranked;
  std::set<std::string> regions;
  for (const std::string& name : candidates) {
    const auto* node = snapshot.find<pb::Node>(name);
    if (node == nullptr || name == silent.metadata().name()) continue;
    const std::string other = region_of(snapshot, node->spec().cluster());
    const int rank = other != region && regions.insert(other).second     ? 0
                     : other != region                                   ? 1
                     : node->spec().cluster() != silent.spec().cluster() ? 2
                                                                         : 3;
    ranked.emplace_back(rank, name);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min(ranked.size(), kPeersAsked); ++i) out.push_back(ranked[i].second);
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
