#include "runtime/health/instance_verdict.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {
namespace {

// Nothing unless all who looked found it failing.
const CheckWord* failing_outside(const InstanceReports& reports, const std::string& check) {
  const auto at = reports.outside.find(check);
  if (at == reports.outside.end() || at->second.empty()) return nullptr;
  const bool all = std::none_of(at->second.begin(), at->second.end(),
                                [](const auto& entry) { return entry.second.healthy; });
  return all ? &at->second.begin()->second : nullptr;
}

Verdict verdict_of_check(const pb::InstanceChecks::Probe& probe, const InstanceReports* reports) {
  const auto none = std::map<std::string, CheckWord>::const_iterator{};
  const auto at = reports == nullptr ? none : reports->own.find(probe.name());
  if (reports == nullptr || at == reports->own.end())
    return {pb::HEALTH_UNKNOWN, fmt::format("check {} has not reported yet", probe.name())};
  const CheckWord& word = at->second;
  const std::string reason = fmt::format("check {}: {}", probe.name(), word.reason);
  if (word.degraded) return {pb::HEALTH_DEGRADED, reason};
  if (!word.healthy)
    return {probe.severity() == pb::SEVERITY_DEGRADED ? pb::HEALTH_DEGRADED : pb::HEALTH_DOWN,
            reason};
  if (const CheckWord* outside = failing_outside(*reports, probe.name()); outside != nullptr)
    return {pb::HEALTH_DEGRADED,
            fmt::format("check {}: well on its node, but not from other regions: {}", probe.name(),
                        outside->reason)};
  return {pb::HEALTH_HEALTHY, "all checks pass"};
}

// What counts for more: down, unknown, degraded, healthy.
int weight(pb::Health state) {
  return state == pb::HEALTH_DOWN       ? 3
         : state == pb::HEALTH_UNKNOWN  ? 2
         : state == pb::HEALTH_DEGRADED ? 1
                                        : 0;
}

}  // namespace

Verdict judge(const pb::InstanceChecks& checks, const InstanceReports* reports) {
  if (checks.probes().empty())
    return {pb::HEALTH_HEALTHY, "its node is healthy; no checks declared"};
  Verdict worst{pb::HEALTH_HEALTHY, "all checks pass"};
  for (const auto& probe : checks.probes())
    if (Verdict next = verdict_of_check(probe, reports); weight(next.state) > weight(worst.state))
      worst = std::move(next);
  return worst;
}

}  // namespace frameworks
