// How far the drain of a node is.
//
//   active ──drain──► leaving ──2 s──► waiting ──nothing left──► drained
//      ▲                                 │ deadline                 ▲
//      └───────────── resume ────────────┴──► expired ──nothing left┘
//
// Leaving: answers given before may still be used, and the node takes what they bring. Waiting: its
// media servers begin nothing new, and what runs is counted. Expired: what is left is ended, as far
// as the media server asks the node's agent.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"
#include "store/store.h"

namespace frameworks {

inline constexpr Duration kLeaving = std::chrono::seconds(2);
// An instance's sessions before its agent has told of them.
inline constexpr int64_t kSessionsUnknown = -1;

struct DrainStep {
  pb::DrainStatus status;  // as it shall be; empty when the node takes work
  // Instances whose sessions are to be asked for.
  std::vector<std::string> ask;
  std::optional<Duration> again;
};
// Pure.
DrainStep next_drain_step(const Snapshot& snapshot, const pb::Node& node, WallTime now);

// Writes it; when to look again.
std::optional<Duration> note_drain(Transaction& transaction, const std::string& node);

// Sessions by instance.
using ToldSessions = std::vector<std::pair<std::string, int64_t>>;
// More than any machine has: a larger number is taken for this one.
inline constexpr int64_t kMostSessions = 1'000'000'000;
// What the agent of a node that is drained tells of the node's own instances and is not known yet.
// Work and result grow with these instances, whatever else it names.
ToldSessions new_sessions(const Snapshot& snapshot, const std::string& node,
                          const pb::Heartbeat& heartbeat);
void note_sessions(Transaction& transaction, const std::string& node, const ToldSessions& told);

// For InstanceChecks.sessions: where the agent asks for the number; empty: nowhere, as now.
std::string sessions_source(const pb::Service& service, const pb::Node& node);
// Sessions are given up: nobody has a place on the node any more.
bool gives_up_sessions(const pb::Node& node);

// What a change of availability does: who is no longer sent there, what moves, what is waited for.
// `changed`: work grows with it.
std::vector<pb::PlanStep> explain_drains(const Snapshot& before, const Snapshot& after,
                                         std::span<const ResourceKey> changed);

}  // namespace frameworks
