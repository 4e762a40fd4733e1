// The node's plan: applied section by section, and the last good one kept on disk.
//
//   update ──► each present section applied ──► those that went well: in plan.pb ──► answer
//
// A section that failed leaves its last good version on disk and its hash untold, so that the
// server sends it again, whole. apply(), restore() and refresh() are for one thread; the rest is
// threadsafe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "agent/checks.h"
#include "agent/drain_sessions.h"
#include "agent/tenancy.h"
#include "base/clock.h"
#include "base/locked.h"
#include "config/mesh/wireguard.h"
#include "frameworks/v1/agent.pb.h"
#include "machine/network_security/packet_filter.h"

namespace frameworks {

// What the plan is applied to.
struct NodeDrivers {
  std::unique_ptr<Wireguard> wireguard;
  std::unique_ptr<PacketFilter> packet_filter;
  std::filesystem::path hosts = "/etc/hosts";
  std::filesystem::path sysctl = "/proc/sys";
};

class Plan {
 public:
  Plan(std::filesystem::path file, NodeDrivers drivers, std::string wireguard_key, Checks& checks,
       Tenancy& tenancy, DrainSessions& sessions, Clock& clock);

  // Applies the last good plan, if there is one. What of it cannot be applied is logged and told in
  // summary().
  void restore();
  // Applies what the update holds; the answer for the server.
  pb::PlanAck apply(pb::PlanUpdate update);
  // Applies mesh, firewall and names again: brings back what somebody else took away.
  void refresh();

  struct Summary {
    int64_t revision = 0;
    std::map<std::string, std::string> hashes;  // of the sections in force
    std::map<std::string, std::string> errors;  // of the sections that failed last
  };
  [[nodiscard]] Summary summary() const;
  [[nodiscard]] std::string wireguard_backend() const { return backend_; }

 private:
  Status apply_section(const std::string& name, const pb::PlanUpdate& update);
  Status complete_mesh(pb::PlanUpdate& update) const;

  std::filesystem::path file_;
  NodeDrivers drivers_;
  std::string wireguard_key_;
  Checks& checks_;
  Tenancy& tenancy_;
  DrainSessions& sessions_;
  Clock& clock_;
  std::string backend_;
  pb::PlanUpdate good_;
  Locked<Summary> summary_;
};

}  // namespace frameworks
