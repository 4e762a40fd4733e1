// Who is asked about a node that is silent, and where the node is looked for. Pure.
#pragma once

#include <string>
#include <vector>

#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// Peers that are asked about one node.
inline constexpr size_t kPeersAsked = 3;

struct PeerCandidate {
  std::string node;
  std::string cluster;
  std::string region;
};
// Where these nodes are, once for all the silent ones that they may be asked about.
std::vector<PeerCandidate> peer_candidates(const Snapshot& snapshot,
                                           const std::vector<std::string>& nodes);

// The best of `candidates`: of different other regions first, then of other clusters, then others.
std::vector<std::string> choose_peers(const Snapshot& snapshot, const pb::Node& silent,
                                      const std::vector<PeerCandidate>& candidates);

// "address:port" of what is open on every node that works, and to its peers: SSH at the machine's
// address, and the first public TCP ports of its services. Nothing of it is the agent's: what is
// looked for is the machine. Bounded.
std::vector<std::string> probe_targets(const Snapshot& snapshot, const pb::Node& node);

}  // namespace frameworks
