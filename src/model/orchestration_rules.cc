#include "model/orchestration_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {
namespace {

constexpr int64_t kMaxSeconds = 7 * 24 * 3600;

void check_duration(bool present, const google::protobuf::Duration& value, const std::string& field,
                    Validation& out) {
  if (present && (value.seconds() < 0 || value.nanos() < 0 || value.seconds() > kMaxSeconds))
    out.fail(field, "is not from 0s to 168h: change it");
}

}  // namespace

void check_rollout_strategy(const pb::RolloutStrategy& strategy, const std::string& field,
                            Validation& out) {
  check_duration(strategy.has_gate(), strategy.gate(), field + ".gate", out);
  check_duration(strategy.has_patience(), strategy.patience(), field + ".patience", out);
  check_duration(strategy.has_region_stagger(), strategy.region_stagger(), field + ".regionStagger",
                 out);
  check_duration(strategy.has_drain(), strategy.drain(), field + ".drain", out);
}

void check_drain_check(const pb::ServiceSpec& spec, Validation& out) {
  if (!spec.has_drain_check()) return;
  const pb::DrainCheck& check = spec.drain_check();
  if (check.port().empty()) {
    if (!check.path().empty())
      out.fail("spec.drainCheck.path",
               "is of no port: name the port that answers, or leave the path out");
    return;
  }
  const auto port = std::find_if(spec.ports().begin(), spec.ports().end(),
                                 [&](const pb::Port& each) { return each.name() == check.port(); });
  if (port == spec.ports().end())
    out.fail("spec.drainCheck.port",
             fmt::format("\"{}\" is no port of the service: name one of its ports", check.port()));
  else if (port->protocol() == pb::PROTOCOL_UDP)
    out.fail("spec.drainCheck.port",
             fmt::format("\"{}\" is a udp port: only tcp ports can be asked", check.port()));
}

}  // namespace frameworks
