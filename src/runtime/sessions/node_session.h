// What is known of one connected node: what was said to it and what it answered. Pure; the lock is
// its owner's.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"
#include "model/kind.h"
#include "runtime/sessions/plan_source.h"

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
  std::optional<pb::ServerMessage> next(const NodePlan& wanted);
  // Takes out of `wanted` what the node has or was sent.
  void take_out_sent(NodePlan& wanted);

  // What an update said of a section.
  struct Sent {
    std::string hash;
    // Only what changed since the section that was sent before.
    bool is_part = false;
  };
  // The sections of the update that an answer belongs to. Empty when unknown.
  std::map<std::string, Sent> answered(const pb::PlanAck& ack);
  // The section could not be applied: send it again, whole, from `retry_at` on.
  void failed(const std::string& section, MonoTime retry_at) { retry_at_[section] = retry_at; }
  // Makes failed sections due; true when there are any.
  bool retry(MonoTime now);

 private:
  // Messages that wait for a slow node, beside its plan.
  static constexpr size_t kWaiting = 64;

  struct Flight {
    int64_t revision = 0;
    std::map<std::string, Sent> sections;
  };

  std::optional<pb::PlanUpdate> update(const NodePlan& wanted);
  [[nodiscard]] bool was_sent(const std::string& name, const PlanSection& section) const;
  void keep_base(const std::string& name, const PlanSectionPtr& section);

  bool greeted_ = false;
  std::deque<pb::ServerMessage> ready_;
  std::map<std::string, std::string> sent_;  // section → hash that the node has or was sent last
  std::map<std::string, PlanSectionPtr> bases_;  // the same, where changes can be told since
  std::vector<Flight> in_flight_;                // in the order in which they were sent
  std::map<std::string, MonoTime> retry_at_;
};

}  // namespace frameworks
