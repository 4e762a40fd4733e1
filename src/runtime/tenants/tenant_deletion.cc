#include "runtime/tenants/tenant_deletion.h"

#include <fmt/format.h>

#include <algorithm>

#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/validate.h"

namespace frameworks {
namespace {

// Removed by one write at most, so that nobody waits long behind it.
constexpr size_t kAtOnce = 500;

using Stage = DeletionStep::Stage;

std::string counted(size_t count, const char* one, const char* many = nullptr) {
  return fmt::format("{} {}", count,
                     count == 1        ? one
                     : many != nullptr ? many
                                       : std::string(one) + "s");
}

std::vector<ResourceKey> keys_of(const std::vector<Resource>& resources) {
  std::vector<ResourceKey> out;
  for (const Resource& resource : resources) out.push_back(resource.key());
  return out;
}

// Those of a kind that an index finds, in portions; nothing when there are none.
void add_all(const Snapshot& snapshot, const Kind& kind, const std::string& tenant, Stage stage,
             const char* what, std::vector<DeletionStep>& out) {
  std::vector<ResourceKey> keys = keys_of(snapshot.find_by(kind, "tenant", tenant));
  if (keys.empty()) return;
  DeletionStep step{stage, kind.name, counted(keys.size(), what), {}, {}};
  keys.resize(std::min(keys.size(), kAtOnce));
  step.keys = std::move(keys);
  out.push_back(std::move(step));
}

// Who else has a place in the cluster.
std::string foreign_grants(const Snapshot& snapshot, const std::string& cluster,
                           const std::string& tenant) {
  size_t count = 0;
  std::string first;
  for (const auto& grant : snapshot.find_by<pb::Grant>("cluster", cluster)) {
    if (grant->metadata().tenant() == tenant) continue;
    if (count++ == 0)
      first = fmt::format("Grant/{}/{}", grant->metadata().tenant(), grant->metadata().name());
  }
  if (count == 0) return {};
  return fmt::format("others use it by {}{}: delete {} first, or give the cluster another owner",
                     first, count == 1 ? "" : fmt::format(" and {} more", count - 1),
                     count == 1 ? "it" : "them");
}

DeletionStep cluster_step(const Snapshot& snapshot, const pb::Cluster& cluster,
                          const std::string& tenant) {
  const std::string& name = cluster.metadata().name();
  DeletionStep step{Stage::kInstances, name, {}, {}, {}};
  const auto nodes = snapshot.find_by<pb::Node>("cluster", name);
  size_t instances = 0;
  for (const auto& node : nodes)
    instances += snapshot.find_by<pb::Instance>("node", node->metadata().name()).size();
  step.summary = fmt::format("cluster \"{}\" with {} and {}", name, counted(nodes.size(), "node"),
                             counted(instances, "instance"));
  if (cluster.spec().sharing() != pb::SHARING_CUSTOMER_MANAGED) {
    step.blocked = "it is dedicated to the tenant: delete it, or give it another owner";
    return step;
  }
  step.blocked = foreign_grants(snapshot, name, tenant);
  for (const auto& pool : snapshot.find_by<pb::MachinePool>("cluster", name))
    step.keys.push_back({"MachinePool", {}, pool->metadata().name()});
  // Nodes of pools go with their pool.
  for (const auto& node : nodes)
    if (node->spec().pool().empty()) step.keys.push_back({"Node", {}, node->metadata().name()});
  for (const auto& token : snapshot.find_by<pb::JoinToken>("cluster", name))
    step.keys.push_back({"JoinToken", {}, token->metadata().name()});
  for (const auto& invite : snapshot.find_by<pb::Invite>("cluster", name))
    step.keys.push_back({"Invite", {}, invite->metadata().name()});
  step.keys.push_back({"Cluster", {}, name});
  return step;
}

std::string names_of(const pb::Tenant& tenant) {
  std::string out = fmt::format("names \"{}\"", tenant.metadata().name());
  if (tenant.spec().subdomain() != tenant.metadata().name())
    out += fmt::format(", \"{}\"", tenant.spec().subdomain());
  for (const std::string& domain : tenant.spec().domains()) out += fmt::format(", \"{}\"", domain);
  return out;
}

std::string text_of(const Error& error) {
  std::string out;
  for (const Violation& violation : error.violations())
    out += fmt::format("{}{}{}{}", out.empty() ? "" : "; ", violation.object,
                       violation.object.empty() ? "" : " ", violation.message);
  return out.empty() ? error.message() : out;
}

}  // namespace

std::vector<DeletionStep> plan_deletion(const Snapshot& snapshot, const std::string& tenant) {
  std::vector<DeletionStep> out;
  const auto* row = snapshot.find<pb::Tenant>(tenant);
  if (row == nullptr) return out;
  add_all(snapshot, kind_of<pb::Grant>(), tenant, Stage::kGrants, "grant", out);
  add_all(snapshot, kind_of<pb::Invite>(), tenant, Stage::kGrants, "invite", out);
  for (const auto& cluster : snapshot.find_by<pb::Cluster>("owner", tenant))
    out.push_back(cluster_step(snapshot, *cluster, tenant));
  add_all(snapshot, kind_of<pb::Account>(), tenant, Stage::kAccounts, "account", out);
  out.push_back({Stage::kNames, {}, names_of(*row), {}, {}});
  return out;
}

std::vector<std::string> waiting_text(const std::vector<DeletionStep>& steps) {
  std::vector<std::string> out;
  for (const DeletionStep& step : steps)
    out.push_back(step.blocked.empty() ? step.summary
                                       : fmt::format("{}: {}", step.summary, step.blocked));
  return out;
}

void begin_deletion(Transaction& transaction, const std::string& tenant) {
  const auto* row = transaction.snapshot().find<pb::Tenant>(tenant);
  if (row == nullptr || row->metadata().has_delete_time()) return;
  const ResourceKey key{"Tenant", {}, tenant};
  const auto steps = plan_deletion(transaction.snapshot(), tenant);
  if (steps.size() > 1) {
    pb::Tenant marked = *row;
    marked.mutable_metadata()->add_finalizers(kTenantFinalizer);
    marked.mutable_status()->set_state(pb::TENANT_STATE_DELETING);
    // It is served nowhere any more, and must not keep a cluster from being deleted.
    marked.mutable_spec()->clear_primary_cluster();
    marked.mutable_status()->clear_waiting();
    for (std::string& text : waiting_text(steps))
      marked.mutable_status()->add_waiting(std::move(text));
    transaction.put(std::move(marked));
  }
  transaction.remove(key);
}

Result<bool> take_step(Transaction& transaction, const std::string& tenant,
                       DeletionStep::Stage stage, const std::string& about) {
  const auto* row = transaction.snapshot().find<pb::Tenant>(tenant);
  if (row == nullptr || !row->metadata().has_delete_time()) return false;
  const auto steps = plan_deletion(transaction.snapshot(), tenant);
  const auto step = std::find_if(steps.begin(), steps.end(), [&](const DeletionStep& each) {
    return each.stage == stage && each.about == about && each.blocked.empty();
  });
  if (step == steps.end()) return false;
  const Snapshot before = transaction.snapshot();
  pb::Tenant changed = *row;
  bool machines = false;
  for (const ResourceKey& key : step->keys) {
    machines |= key.kind == "MachinePool" || key.kind == "Node";
    transaction.remove(key);
  }
  if (stage == Stage::kNames) changed.mutable_metadata()->clear_finalizers();
  transaction.put(std::move(changed));
  const auto keys = transaction.changed();
  if (Status valid = validate_fleet(transaction.snapshot(), keys, {}, &before); !valid)
    return Error(valid.error().code(), text_of(valid.error()));
  note_waiting(transaction, tenant, waiting_text(plan_deletion(transaction.snapshot(), tenant)));
  return machines;
}

void note_waiting(Transaction& transaction, const std::string& tenant,
                  const std::vector<std::string>& waiting) {
  const auto* row = transaction.snapshot().find<pb::Tenant>(tenant);
  if (row == nullptr || !row->metadata().has_delete_time()) return;
  pb::Tenant changed = *row;
  changed.mutable_status()->clear_waiting();
  for (const std::string& text : waiting) changed.mutable_status()->add_waiting(text);
  transaction.put(std::move(changed));
}

}  // namespace frameworks
