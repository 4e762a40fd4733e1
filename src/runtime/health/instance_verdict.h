// What the checks of an instance make of it. Pure.
#pragma once

#include <map>
#include <string>

#include "frameworks/v1/agent.pb.h"
#include "model/kind.h"
#include "runtime/health/flap_damper.h"

namespace frameworks {

struct CheckWord {
  bool healthy = false;
  bool degraded = false;
  std::string reason;

  bool operator==(const CheckWord&) const = default;
};

// What is known of one instance.
struct InstanceReports {
  std::map<std::string, CheckWord> own;  // by check
  // By check and node that looked from outside.
  std::map<std::string, std::map<std::string, CheckWord>> outside;
  FlapDamper flaps;
  pb::Health found = pb::HEALTH_UNSPECIFIED;  // the last verdict, without damping
};

struct Verdict {
  pb::Health state = pb::HEALTH_UNKNOWN;
  std::string reason;
  bool flapping = false;
};

// The state of an instance whose node answers: the worst of its checks, unknown until all have
// reported (unless one says that it is down). What is well on the node and cannot be reached by any
// of those who look from outside is degraded.
Verdict judge(const pb::InstanceChecks& checks, const InstanceReports* reports);

}  // namespace frameworks
