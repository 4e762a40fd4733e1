// What is known of all nodes: their streams, what they lack, what has arrived. The streams' threads
// and the planning thread share it under one lock.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/locked.h"
#include "runtime/sessions/convergence.h"
#include "runtime/sessions/heartbeat_pace.h"
#include "runtime/sessions/node_session.h"
#include "runtime/sessions/sessions.h"

namespace frameworks {

struct NodeEntry {
  // What the node lacks of its plan, and was not sent. What is not here it has or was sent; it is
  // planned again when it is needed again.
  NodePlan lacks;
  bool planned = false;  // since the stream was opened
  NodeSession session;
  uint64_t stream_id = 0;  // 0: not connected
  Sessions::Stream stream;
  bool joined = false;
};

struct SessionTable {
  SessionTable(std::vector<std::string> sections, Duration heartbeat)
      : convergence(std::move(sections)), pace(heartbeat) {}

  std::map<std::string, NodeEntry, std::less<>> nodes;
  Convergence convergence;
  Revision planned = 0;
  std::set<std::string> opened;  // to be planned whole: connected since, or has something to retry
  uint64_t streams = 0;          // ever opened
  int connected = 0;
  HeartbeatPace pace;

  // The entry of a node while stream `id` is its current one; else null.
  NodeEntry* current(const std::string& node, uint64_t id) {
    const auto at = nodes.find(node);
    return at == nodes.end() || at->second.stream_id != id ? nullptr : &at->second;
  }
};

using LockedTable = Locked<SessionTable>;

}  // namespace frameworks
