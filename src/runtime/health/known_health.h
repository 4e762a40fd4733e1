// Everything a health monitor knows beyond the store. Not threadsafe: its owner locks it.
#pragma once

#include <map>
#include <set>
#include <string>

#include "runtime/health/instance_verdict.h"
#include "runtime/health/node_condition.h"
#include "runtime/health/node_health.h"

namespace frameworks {

struct KnownHealth {
  KnownHealth(HealthTimes limits, MonoTime start) : times(limits), nodes(limits, start) {}

  // Of a node of the store.
  struct Facts {
    std::string server;  // of its stream
    double bandwidth_mbps = 0;
  };
  // Who was asked about which node.
  struct Question {
    std::string node;
    std::set<std::string> peers;
  };

  const HealthTimes times;
  NodeHealthTable nodes;  // that this server judges
  std::map<std::string, Facts, std::less<>> facts;
  std::map<std::string, NodeCondition, std::less<>> conditions;  // of nodes that told something
  std::map<std::string, HealthTransition, std::less<>> told;     // the last of each node
  std::map<std::string, InstanceReports, std::less<>> reports;   // by instance
  std::set<std::string> flapping;                                // instances
  std::map<int64_t, Question> questions;
  int64_t asked = 0;
  // Writes that wait for the store's writer, and those that failed and are to be tried again.
  std::set<std::string> queued;
  std::set<std::string> failed;
  // Reports of what is not the reporter's to tell.
  int64_t refused = 0;
};

}  // namespace frameworks
