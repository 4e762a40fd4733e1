// What is known of one connected node: what was said to it and what it answered. Pure; the lock is
// its owner's.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"
#include "model/kind.h"

namespace frameworks {

class NodeSession {
 public:
  // Updates that a node may have unanswered; further changes wait and coalesce.
  static constexpr size_t kInFlight = 4;

  // The node says what it has.
  void hello(const pb::Hello& hello, Duration heartbeat);
  [[nodiscard]] bool greeted() const { return greeted_; }
  void renewed(std::string certificate_pem);
  // Sends heartbeats this often from now on.
  void set_interval(Duration heartbeat);
  // Something else for the node; false when it has too much to read already, or has not said hello.
  bool push(pb::ServerMessage message);

  // The next message, given what the node shall have; empty: nothing.
  std::optional<pb::ServerMessage> next(const pb::PlanUpdate* wanted);

  // Whether the node has all of it, or was sent it.
  [[nodiscard]] bool has(const pb::PlanUpdate& wanted) const;

  // The update that an answer belongs to: the hash of every section sent in it. Empty when unknown.
  std::map<std::string, std::string> answered(const pb::PlanAck& ack);
  // The section could not be applied: send it again from `retry_at` on.
  void failed(const std::string& section, MonoTime retry_at) { retry_at_[section] = retry_at; }
  // Makes failed sections due; true when there are any.
  bool retry(MonoTime now);

 private:
  // Messages that wait for a slow node, beside its plan.
  static constexpr size_t kWaiting = 64;

  std::optional<pb::PlanUpdate> update(const pb::PlanUpdate& wanted);

  bool greeted_ = false;
  std::deque<pb::ServerMessage> ready_;
  std::map<std::string, std::string> sent_;  // section → hash that the node has or was sent last
  std::map<int64_t, std::map<std::string, std::string>> in_flight_;  // revision → section → hash
  std::map<std::string, MonoTime> retry_at_;
};

// Copies the section of this name (a message field of PlanUpdate) with its hash.
void copy_section(const pb::PlanUpdate& from, const std::string& section, pb::PlanUpdate& to);

}  // namespace frameworks
