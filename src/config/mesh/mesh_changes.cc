#include "config/mesh/mesh_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr size_t kDigest = 16;
constexpr size_t kHashDigits = 16;

// Neither holds a map, so that equal messages have equal bytes.
std::string digest_of(const pb::MeshPeer& peer) {
  return sha256(peer.SerializeAsString()).substr(0, kDigest);
}

std::string hash_of(const std::string& own, const std::string& digests) {
  return sha256_hex(sha256(own) + digests).substr(0, kHashDigits);
}

}  // namespace

PlannedPeer::PlannedPeer(pb::MeshPeer from) : peer(std::move(from)), digest(digest_of(peer)) {}

std::string mesh_hash(const PlannedMesh& mesh) {
  std::string digests;
  digests.reserve(mesh.peers.size() * kDigest);
  for (const PlannedPeerPtr& each : mesh.peers) digests += each->digest;
  return hash_of(mesh.own.SerializeAsString(), digests);
}

std::string mesh_hash(const pb::MeshSection& whole) {
  pb::MeshSection own = whole;
  own.clear_peers();
  std::string digests;
  for (const pb::MeshPeer& peer : whole.peers()) digests += digest_of(peer);
  return hash_of(own.SerializeAsString(), digests);
}

pb::MeshSection whole_section(const PlannedMesh& mesh) {
  pb::MeshSection out = mesh.own;
  out.mutable_peers()->Reserve(static_cast<int>(mesh.peers.size()));
  for (const PlannedPeerPtr& each : mesh.peers) *out.add_peers() = each->peer;
  return out;
}

std::optional<pb::MeshSection> mesh_changes(const PlannedMesh& base, const std::string& base_hash,
                                            const PlannedMesh& now) {
  std::vector<const PlannedPeer*> went, came;
  auto old = base.peers.begin();
  for (const PlannedPeerPtr& each : now.peers) {
    // Most are the same object: nothing of it has to be read.
    if (old != base.peers.end() && *old == each) {
      ++old;
      continue;
    }
    for (; old != base.peers.end() && (*old)->peer.node() < each->peer.node(); ++old)
      went.push_back(old->get());
    if (old == base.peers.end() || (*old)->peer.node() != each->peer.node()) {
      came.push_back(each.get());
      continue;
    }
    if ((*old)->digest != each->digest) {
      came.push_back(each.get());
      if ((*old)->peer.public_key() != each->peer.public_key()) went.push_back(old->get());
    }
    ++old;
  }
  for (; old != base.peers.end(); ++old) went.push_back(old->get());
  if (2 * (came.size() + went.size()) > now.peers.size()) return {};
  pb::MeshSection out = now.own;
  out.set_changes_since(base_hash);
  for (const PlannedPeer* each : came) *out.add_peers() = each->peer;
  for (const PlannedPeer* each : went) out.add_removed_peers(each->peer.public_key());
  return out;
}

Result<pb::MeshSection> with_changes(const pb::MeshSection& base, const pb::MeshSection& changes) {
  std::set<std::string_view> removed(changes.removed_peers().begin(),
                                     changes.removed_peers().end());
  std::set<std::string_view> replaced;
  for (const pb::MeshPeer& peer : changes.peers()) replaced.insert(peer.public_key());
  std::vector<const pb::MeshPeer*> peers;
  for (const pb::MeshPeer& peer : base.peers()) {
    const bool goes = removed.erase(peer.public_key()) != 0;
    if (!goes && !replaced.contains(peer.public_key())) peers.push_back(&peer);
  }
  if (!removed.empty())
    return Error(Code::kInvalidArgument,
                 fmt::format("peer {} is to go and is not there", *removed.begin()));
  for (const pb::MeshPeer& peer : changes.peers()) peers.push_back(&peer);
  std::sort(peers.begin(), peers.end(),
            [](const auto* a, const auto* b) { return a->node() < b->node(); });
  pb::MeshSection out = changes;
  out.clear_changes_since();
  out.clear_removed_peers();
  out.clear_peers();
  out.mutable_peers()->Reserve(static_cast<int>(peers.size()));
  for (const pb::MeshPeer* peer : peers) *out.add_peers() = *peer;
  return out;
}

}  // namespace frameworks
