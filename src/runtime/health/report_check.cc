#include "runtime/health/report_check.h"

#include <algorithm>

#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/health/checks_plan.h"

namespace frameworks {
namespace {

constexpr size_t kReason = 300;

bool has_probe(const pb::InstanceChecks& checks, const std::string& name) {
  return std::any_of(checks.probes().begin(), checks.probes().end(),
                     [&](const auto& probe) { return probe.name() == name; });
}

}  // namespace

std::string node_to_judge(const Snapshot& snapshot, const std::string& reporter,
                          const pb::CheckReport& report) {
  const auto* instance = snapshot.find<pb::Instance>(report.instance());
  if (instance == nullptr) return {};
  const std::string& name = instance->spec().node();
  const auto* node = snapshot.find<pb::Node>(name);
  if (node == nullptr) return {};
  if (report.from_outside()) {
    const auto* observer = snapshot.find<pb::Node>(reporter);
    if (observer == nullptr || reporter == name) return {};
    return has_probe(plan_outside_checks(snapshot, *observer, *instance), report.check())
               ? name
               : std::string();
  }
  if (name != reporter) return {};
  return has_probe(plan_instance_checks(snapshot, *node, *instance), report.check())
             ? name
             : std::string();
}

std::string bounded_text(std::string text, size_t size) {
  if (text.size() <= size) return text;
  // A byte that goes on with a character is not where the text may end.
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  text.resize(size);
  return text;
}

CheckWord word_of(const pb::CheckReport& report) {
  return {report.healthy() && !report.degraded(), report.degraded(),
          bounded_text(report.reason(), kReason)};
}

}  // namespace frameworks
