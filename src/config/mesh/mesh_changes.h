// What is told of a large mesh section when few of its peers changed. Both ends use this: the
// server that tells, and the agent that puts it together with the section it has. Pure.
//
// A peer is known by its public key: one with a new key is one that went and one that came.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

// A peer as many nodes' sections have it.
struct PlannedPeer {
  explicit PlannedPeer(pb::MeshPeer from);
  const pb::MeshPeer peer;
  const std::string digest;  // equal peers have equal ones
};
using PlannedPeerPtr = std::shared_ptr<const PlannedPeer>;

// A mesh section whose peers are shared with others.
struct PlannedMesh {
  pb::MeshSection own;                // all but the peers
  std::vector<PlannedPeerPtr> peers;  // sorted by node
};

// The hash of a section, whichever way it is held: of its own fields and its peers' digests.
std::string mesh_hash(const PlannedMesh& mesh);
std::string mesh_hash(const pb::MeshSection& whole);

pb::MeshSection whole_section(const PlannedMesh& mesh);
// What makes `now` of `base`, whose hash is `base_hash`; nothing when that is not less than half of
// the whole.
std::optional<pb::MeshSection> mesh_changes(const PlannedMesh& base, const std::string& base_hash,
                                            const PlannedMesh& now);
// Puts together what mesh_changes() took apart; compare its hash. kInvalidArgument: these are not
// changes of this section.
Result<pb::MeshSection> with_changes(const pb::MeshSection& base, const pb::MeshSection& changes);

}  // namespace frameworks
