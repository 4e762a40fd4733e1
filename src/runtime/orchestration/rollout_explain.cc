#include "runtime/orchestration/rollout_explain.h"

#include <fmt/format.h>

#include <set>

#include "base/text.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/orchestration/rollout_plan.h"

namespace frameworks {
namespace {

std::string list_of(const pb::RolloutBatch& batch) {
  std::string out;
  for (const std::string& node : batch.nodes()) out += (out.empty() ? "" : ", ") + node;
  return out;
}

std::string summary_of(const pb::RolloutBatch& batch, int index, const RolloutTerms& terms) {
  std::string out =
      fmt::format("{} {}: {}", batch.canary() ? "canary" : "batch", index + 1, list_of(batch));
  if (!batch.region().empty()) out += fmt::format(" in {}", batch.region());
  if (terms.drain > Duration::zero())
    out += fmt::format("; drained for at most {}", format_duration(terms.drain));
  out += fmt::format("; healthy for {} within {}, or {}", format_duration(terms.gate),
                     format_duration(terms.patience),
                     terms.keep_failed ? "it stops there" : "all goes back");
  return out;
}

pb::BlastRadius radius_of(const Snapshot& snapshot, const pb::Rollout& rollout,
                          const std::vector<pb::RolloutBatch>& batches) {
  std::set<std::string> nodes, clusters, tenants;
  for (const pb::RolloutBatch& batch : batches)
    nodes.insert(batch.nodes().begin(), batch.nodes().end());
  for (const std::string& name : nodes)
    if (const auto* node = snapshot.find<pb::Node>(name)) clusters.insert(node->spec().cluster());
  const auto* service = snapshot.find<pb::Service>(rollout.spec().service());
  if (service != nullptr && service->spec().tenant_facing())
    for (const std::string& cluster : clusters)
      snapshot.scan_by(kind_of<pb::Grant>(), "cluster", cluster, [&](const Resource& grant) {
        tenants.insert(grant.metadata().tenant());
        return true;
      });
  pb::BlastRadius out;
  out.mutable_nodes()->Assign(nodes.begin(), nodes.end());
  out.mutable_clusters()->Assign(clusters.begin(), clusters.end());
  out.mutable_tenants()->Assign(tenants.begin(), tenants.end());
  return out;
}

}  // namespace

pb::Plan explain_rollout(const Snapshot& snapshot, const pb::Rollout& rollout) {
  pb::Plan plan;
  plan.set_revision(snapshot.revision());
  const RolloutTerms terms = rollout_terms(snapshot, rollout);
  const auto batches = plan_batches(snapshot, rollout);
  std::string region;
  for (size_t i = 0; i < batches.size(); ++i) {
    pb::PlanStep& step = *plan.add_steps();
    step.set_layer("runtime");
    step.set_action("rollout");
    step.set_object("Service/" + rollout.spec().service());
    step.set_summary(summary_of(batches[i], static_cast<int>(i), terms));
    if (i > 0 && batches[i].region() != region && terms.region_stagger > Duration::zero())
      step.set_summary(fmt::format("{} after {}: {}", format_duration(terms.region_stagger), region,
                                   step.summary()));
    region = batches[i].region();
  }
  if (!batches.empty()) *plan.mutable_blast_radius() = radius_of(snapshot, rollout, batches);
  return plan;
}

}  // namespace frameworks
