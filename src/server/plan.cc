#include "server/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_set>

#include "config/mesh/mesh_plan.h"
#include "frameworks/v1/tenant.pb.h"
#include "machine/network_security/firewall_plan.h"
#include "machine/provisioning/pool_plan.h"
#include "model/diff.h"
#include "model/pack.h"
#include "model/validate.h"
#include "runtime/inventory/inventory.h"
#include "runtime/orchestration/drain_step.h"
#include "runtime/orchestration/placement_plan.h"
#include "runtime/orchestration/rollout_plan.h"
#include "runtime/tenants/tenancy_plan.h"
#include "runtime/tenants/tenant_deletion.h"

namespace frameworks {
namespace {

struct Items {
  std::vector<Resource> resources;
  Origins origins;
};

Violation violation_of(const pb::FleetItem& item, std::string object, std::string message) {
  return {item.origin().file(), item.origin().line(), std::move(object), "", std::move(message)};
}

const Message& spec_of(const Message& message) {
  const auto* field = message.GetDescriptor()->FindFieldByName("spec");
  return message.GetReflection()->GetMessage(message, field);
}

Message& mutable_spec_of(Message& message) {
  const auto* field = message.GetDescriptor()->FindFieldByName("spec");
  return *message.GetReflection()->MutableMessage(&message, field);
}

// An item with its defaults and the mark of what was applied.
Resource as_applied(Resource item) {
  const Kind& kind = item.kind();
  auto message = std::const_pointer_cast<Message>(item.share<Message>());
  item = {};  // nobody else has it
  (*kind.mutable_metadata(*message).mutable_annotations())[kAppliedAnnotation] = "true";
  apply_defaults(*message);
  return Resource(kind, std::move(message));
}

Result<Items> read_items(const pb::ApplyRequest& request) {
  Items out;
  std::vector<Violation> violations;
  std::set<ResourceKey> seen;
  for (const pb::FleetItem& item : request.items()) {
    auto resource = unpack(item.resource());
    if (!resource) {
      violations.push_back(violation_of(item, "", resource.error().message()));
      continue;
    }
    const ResourceKey key = resource->key();
    if (resource->kind().system_owned)
      violations.push_back(violation_of(item, key.text(), "only the system writes this kind"));
    if (!seen.insert(key).second)
      violations.push_back(violation_of(item, key.text(), "is given twice: remove one"));
    out.origins.add(key, item.origin().file(), item.origin().line());
    out.resources.push_back(as_applied(std::move(*resource)));
  }
  if (!violations.empty()) return Error::invalid(std::move(violations));
  return out;
}

// The spec that the item asks for. What the system has allocated and the item leaves out stays: an
// address does not move because a file is applied again.
void take_spec(const Resource* stored, const Resource& item, Message& spec) {
  spec.CopyFrom(spec_of(item.message()));
  if (stored != nullptr && item.kind().name == "Node")
    keep_addresses(stored->as<pb::Node>().spec(), static_cast<pb::NodeSpec&>(spec));
}

template <typename Map>
bool same_entries(const Map& a, const Map& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           const auto found = b.find(entry.first);
           return found != b.end() && found->second == entry.second;
         });
}

// Whether the item says what is stored already. `room` is for any message of its kind.
bool is_stored(const Resource& stored, const Resource& item, Message& room) {
  const pb::Metadata& was = stored.metadata();
  const pb::Metadata& is = item.metadata();
  if (!same_entries(was.labels(), is.labels()) ||
      !same_entries(was.annotations(), is.annotations()))
    return false;
  Message& spec = mutable_spec_of(room);
  take_spec(&stored, item, spec);
  return same_bytes(spec_of(stored.message()), spec);
}

// What is stored with labels, annotations and spec of the item.
Resource merged(const Resource* stored, const Resource& item) {
  const Kind& kind = item.kind();
  std::shared_ptr<Message> message(item.message().New());
  if (stored != nullptr) message->CopyFrom(stored->message());
  pb::Metadata& metadata = kind.mutable_metadata(*message);
  metadata.set_name(item.metadata().name());
  metadata.set_tenant(item.metadata().tenant());
  *metadata.mutable_labels() = item.metadata().labels();
  *metadata.mutable_annotations() = item.metadata().annotations();
  take_spec(stored, item, mutable_spec_of(*message));
  return Resource(kind, std::move(message));
}

// What is stored already is not put, which costs a copy.
void put_items(Transaction& transaction, const std::vector<Resource>& items) {
  std::map<const Kind*, std::unique_ptr<Message>> rooms;
  for (const Resource& item : items) {
    const Resource* stored = transaction.snapshot().find(item.key());
    std::unique_ptr<Message>& room = rooms[&item.kind()];
    if (room == nullptr) room = item.kind().make();
    if (stored == nullptr || !is_stored(*stored, item, *room))
      transaction.put(merged(stored, item));
  }
}

bool was_applied(const Resource& resource) {
  return resource.metadata().annotations().contains(kAppliedAnnotation);
}

// A tenant's deletion is a state that finishes, whoever begins it.
void remove(Transaction& transaction, const ResourceKey& key) {
  if (key.kind == "Tenant") return begin_deletion(transaction, key.name);
  transaction.remove(key);
}

void prune(Transaction& transaction, const std::vector<Resource>& items,
           const ApplyRules::Prunable& prunable) {
  std::set<ResourceKey> listed;
  for (const Resource& item : items) listed.insert(item.key());
  std::vector<ResourceKey> gone;
  for (const Kind& kind : all_kinds()) {
    if (prunable && !prunable(kind)) continue;
    for (const Resource& resource : transaction.snapshot().list(kind))
      if (was_applied(resource) && !listed.contains(resource.key())) gone.push_back(resource.key());
  }
  // Kinds come after those they reference: remove in reverse.
  for (auto key = gone.rbegin(); key != gone.rend(); ++key) remove(transaction, *key);
}

// Whether more differs than what the store itself sets at every write.
bool is_changed(const Snapshot& before, const Snapshot& after, const ResourceKey& key) {
  const Resource* was = before.find(key);
  const Resource* is = after.find(key);
  if (was == nullptr || is == nullptr) return was != is;
  if (&was->message() == &is->message()) return false;
  const std::unique_ptr<Message> now(is->message().New());
  now->CopyFrom(is->message());
  pb::Metadata& metadata = is->kind().mutable_metadata(*now);
  metadata.set_revision(was->metadata().revision());
  metadata.set_generation(was->metadata().generation());
  *metadata.mutable_update_time() = was->metadata().update_time();
  return !same_bytes(was->message(), *now);
}

// Derives and validates what the edit wrote, and notes what of it makes a difference for the plan.
Status complete(Transaction& transaction, const Snapshot& before, const Origins& origins,
                PlannedChange& outcome) {
  RETURN_IF_ERROR(transaction.derive());
  auto keys = transaction.changed();
  RETURN_IF_ERROR(validate_fleet(transaction.snapshot(), keys, origins, &before));
  const Snapshot after = transaction.snapshot();
  std::erase_if(keys, [&](const ResourceKey& key) { return !is_changed(before, after, key); });
  outcome = {before, after, std::move(keys)};
  return {};
}

// A deletion that takes its time says what it waits for, in order.
pb::PlanStep deletion_step(const Resource& resource) {
  pb::PlanStep step;
  step.set_layer("model");
  step.set_action("delete");
  step.set_object(resource.key().text());
  std::string waiting;
  if (resource.kind().name == "Tenant")
    for (const std::string& text : resource.as<pb::Tenant>().status().waiting())
      waiting += (waiting.empty() ? "" : ", then ") + text;
  step.set_summary(fmt::format("delete {}: {}", resource.key().text(),
                               waiting.empty() ? "once it is let go" : waiting));
  return step;
}

std::vector<pb::PlanStep> explain_model(const PlannedChange& change) {
  std::vector<pb::PlanStep> steps;
  std::vector<ResourceKey> keys = change.keys;
  std::sort(keys.begin(), keys.end());
  for (const ResourceKey& key : keys) {
    // What is derived is told by its layer.
    if (const Kind* kind = find_kind(key.kind); kind == nullptr || kind->system_owned) continue;
    const Resource* before = change.before.find(key);
    const Resource* after = change.after.find(key);
    const Resource* any = after != nullptr ? after : before;
    const bool derived =
        any == nullptr || (key.kind == "Node" && !any->as<pb::Node>().spec().pool().empty());
    if (derived) continue;
    auto changes = diff(before == nullptr ? nullptr : &before->message(),
                        after == nullptr ? nullptr : &after->message());
    const bool begins_to_go = before != nullptr && after != nullptr &&
                              !before->metadata().has_delete_time() &&
                              after->metadata().has_delete_time();
    if (begins_to_go) {
      steps.push_back(deletion_step(*after));
      continue;
    }
    if (changes.empty() && before != nullptr && after != nullptr) continue;
    std::erase_if(changes, [](const pb::FieldChange& field) {
      return field.field().find(kAppliedAnnotation) != std::string::npos;
    });
    pb::PlanStep step;
    step.set_layer("model");
    step.set_action(before == nullptr ? "create" : after == nullptr ? "delete" : "update");
    step.set_object(key.text());
    step.set_summary(before == nullptr || after == nullptr || changes.empty()
                         ? fmt::format("{} {}", step.action(), key.text())
                         : fmt::format("update {}: {} {}", key.text(), changes.size(),
                                       changes.size() == 1 ? "field" : "fields"));
    for (auto& field : changes) *step.add_changes() = std::move(field);
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<Change> changes_of(const PlannedChange& change) {
  std::vector<Change> out;
  for (const ResourceKey& key : change.keys) {
    const Resource* before = change.before.find(key);
    const Resource* after = change.after.find(key);
    out.push_back({0,
                   {},
                   "",
                   key,
                   before == nullptr ? Resource() : *before,
                   after == nullptr ? Resource() : *after});
  }
  return out;
}

// Whom a change concerns.
struct Concerned {
  std::optional<std::set<std::string>> nodes;  // that may differ in any layer; nothing: all may
  std::set<std::string> replanned;             // whose plan may differ
  std::set<std::string> tenants;               // that changed, or whose grants did
  [[nodiscard]] const std::set<std::string>* only() const { return nodes ? &*nodes : nullptr; }
};

// Nodes that a resource is, has or runs on.
void add_nodes(const Snapshot& snapshot, const ResourceKey& key, std::set<std::string>& nodes) {
  const auto add = [&](const char* index) {
    for (const auto& node : snapshot.find_by<pb::Node>(index, key.name))
      nodes.insert(node->metadata().name());
  };
  if (key.kind == "Node") nodes.insert(key.name);
  if (key.kind == "MachinePool") add("pool");
  if (key.kind == "Cluster") add("cluster");
  if (key.kind == "Instance")
    if (const auto* instance = snapshot.find<pb::Instance>(key.name))
      nodes.insert(instance->spec().node());
  if (key.kind == "Service")
    for (const auto& instance : snapshot.find_by<pb::Instance>("service", key.name))
      nodes.insert(instance->spec().node());
}

Concerned concerned_by(const PlannedChange& change, const PlanSource& source) {
  Concerned out;
  for (const ResourceKey& key : change.keys) {
    if (key.kind == "Tenant") out.tenants.insert(key.name);
    if (!key.tenant.empty()) out.tenants.insert(key.tenant);
  }
  // Where so much changes, telling who is concerned costs more than looking at everybody.
  const size_t all = change.after.count(kind_of<pb::Node>());
  constexpr size_t kShare = 8;
  constexpr size_t kFew = 64;
  std::set<std::string> nodes;
  if (change.keys.size() <= kFew + all / kShare) {
    for (const auto& [name, sections] : source.affected(change.after, changes_of(change)))
      out.replanned.insert(name);
    nodes = out.replanned;
    for (const ResourceKey& key : change.keys)
      for (const Snapshot* snapshot : {&change.before, &change.after})
        add_nodes(*snapshot, key, nodes);
    out.nodes = std::move(nodes);
    return out;
  }
  for (const auto& node : change.after.list<pb::Node>())
    out.replanned.insert(node->metadata().name());
  return out;
}

// Adds the nodes whose plan differs, whether or not a step names them.
void add_replanned(const PlannedChange& change, const PlanSource& source,
                   const std::set<std::string>& candidates, std::set<std::string>& nodes) {
  std::unique_ptr<PlanSource::Planner> old_planner;
  std::unique_ptr<PlanSource::Planner> new_planner;
  for (const std::string& name : candidates) {
    if (nodes.contains(name)) continue;
    const auto* before = change.before.find<pb::Node>(name);
    const auto* after = change.after.find<pb::Node>(name);
    if (before == nullptr && after == nullptr) continue;
    if (old_planner == nullptr) {
      old_planner = source.planner(change.before);
      new_planner = source.planner(change.after);
    }
    const bool same = before != nullptr && after != nullptr &&
                      same_sections(old_planner->plan(*before), new_planner->plan(*after));
    if (!same) nodes.insert(name);
  }
}

pb::BlastRadius blast_radius(const PlannedChange& change, const pb::Plan& plan,
                             const PlanSource& source, const Concerned& concerned) {
  std::set<std::string> nodes;
  std::set<std::string> clusters;
  std::set<std::string> tenants = concerned.tenants;
  std::unordered_set<std::string_view> objects;  // a node has steps in several layers
  for (const pb::PlanStep& step : plan.steps()) {
    std::string_view name = step.object();
    if (name.starts_with("Node/")) name.remove_prefix(5);
    if (!objects.insert(name).second) continue;
    if (change.after.find<pb::Node>(name) != nullptr ||
        change.before.find<pb::Node>(name) != nullptr)
      nodes.emplace(name);
  }
  add_replanned(change, source, concerned.replanned, nodes);
  for (const ResourceKey& key : change.keys)
    if (key.kind == "Cluster") clusters.insert(key.name);
  for (const std::string& name : nodes)
    for (const Snapshot* snapshot : {&change.before, &change.after})
      if (const auto* node = snapshot->find<pb::Node>(name))
        clusters.insert(node->spec().cluster());
  for (const std::string& cluster : clusters)
    change.after.scan_by(kind_of<pb::Grant>(), "cluster", cluster, [&](const Resource& grant) {
      tenants.insert(grant.metadata().tenant());
      return true;
    });
  pb::BlastRadius out;
  for (const auto& name : nodes) out.add_nodes(name);
  for (const auto& name : tenants) out.add_tenants(name);
  for (const auto& name : clusters) out.add_clusters(name);
  return out;
}

// An item that says which version it changes must meet that one.
Status check_revisions(const Snapshot& before, const Items& items) {
  for (const Resource& item : items.resources) {
    const Revision wanted = item.metadata().revision();
    if (wanted == 0) continue;
    const Resource* stored = before.find(item.key());
    const Revision found = stored == nullptr ? 0 : stored->metadata().revision();
    if (found != wanted)
      return Error(Code::kAborted,
                   fmt::format("{}: is at revision {}, not {}: read it again, or leave "
                               "metadata.revision out",
                               item.key().text(), found, wanted));
  }
  return {};
}

// What is being deleted is not written anew: it would go all the same.
Status check_deleting(const Snapshot& before, const Items& items) {
  std::vector<Violation> violations;
  for (const Resource& item : items.resources) {
    const Resource* stored = before.find(item.key());
    if (stored != nullptr && stored->metadata().has_delete_time())
      violations.push_back({{},
                            0,
                            item.key().text(),
                            "",
                            "is being deleted: leave it out, or wait until it is gone"});
  }
  if (violations.empty()) return {};
  for (Violation& violation : violations) items.origins.place(violation);
  return Error::invalid(std::move(violations));
}

}  // namespace

Result<Edit> apply_edit(const pb::ApplyRequest& request, std::shared_ptr<PlannedChange> outcome,
                        ApplyRules rules) {
  ASSIGN_OR_RETURN(Items read, read_items(request));
  const auto items = std::make_shared<Items>(std::move(read));
  return Edit([items, outcome, rules = std::move(rules), pruning = request.prune(),
               revision = request.if_revision()](Transaction& transaction) -> Status {
    const Snapshot before = transaction.snapshot();
    if (rules.check) RETURN_IF_ERROR(rules.check(before, items->resources));
    if (revision != 0 && before.revision() != revision)
      return Error(Code::kAborted, fmt::format("the fleet is at revision {}, not {}: plan again",
                                               before.revision(), revision));
    RETURN_IF_ERROR(check_revisions(before, *items));
    RETURN_IF_ERROR(check_deleting(before, *items));
    put_items(transaction, items->resources);
    if (pruning) prune(transaction, items->resources, rules.prunable);
    return complete(transaction, before, items->origins, *outcome);
  });
}

Result<Edit> delete_edit(const pb::DeleteRequest& request, std::shared_ptr<PlannedChange> outcome) {
  const Kind* kind = find_kind(request.kind());
  if (kind == nullptr)
    return Error(Code::kInvalidArgument, fmt::format("unknown kind \"{}\"", request.kind()));
  // Deleting a join token or an invite takes it back; everything else of the system's goes with
  // what made it.
  if (kind->system_owned && kind->name != "JoinToken" && kind->name != "Invite")
    return Error(Code::kFailedPrecondition,
                 fmt::format("{}: only the system deletes this kind", kind->name));
  const ResourceKey key{kind->name, request.tenant(), request.name()};
  return Edit([key, outcome, revision = request.if_revision()](Transaction& transaction) -> Status {
    const Snapshot before = transaction.snapshot();
    const Resource* stored = before.find(key);
    if (stored == nullptr) return Error(Code::kNotFound, fmt::format("{}: not found", key.text()));
    if (revision != 0 && stored->metadata().revision() != revision)
      return Error(Code::kAborted, fmt::format("{}: is at revision {}, not {}", key.text(),
                                               stored->metadata().revision(), revision));
    if (key.kind == "Node" && !stored->as<pb::Node>().spec().pool().empty())
      return Error(Code::kFailedPrecondition,
                   fmt::format("{}: belongs to MachinePool/{}: lower the pool's count instead",
                               key.text(), stored->as<pb::Node>().spec().pool()));
    if (key.kind == "Rollout" && is_under_way(stored->as<pb::Rollout>()))
      return Error(Code::kFailedPrecondition,
                   fmt::format("{}: is under way: abort it first (`frameworks rollout abort {}`)",
                               key.text(), stored->as<pb::Rollout>().spec().service()));
    remove(transaction, key);
    return complete(transaction, before, {}, *outcome);
  });
}

Edit checked_edit(Edit change, std::shared_ptr<PlannedChange> outcome) {
  return [change = std::move(change), outcome](Transaction& transaction) -> Status {
    const Snapshot before = transaction.snapshot();
    RETURN_IF_ERROR(change(transaction));
    return complete(transaction, before, {}, *outcome);
  };
}

bool changes_anything(const PlannedChange& change) {
  return std::any_of(change.keys.begin(), change.keys.end(), [&](const ResourceKey& key) {
    const Resource* before = change.before.find(key);
    const Resource* after = change.after.find(key);
    if (before == nullptr || after == nullptr) return before != after;
    return !diff(&before->message(), &after->message()).empty();
  });
}

pb::Plan explain(const PlannedChange& change, const PlanSource& source) {
  pb::Plan plan;
  plan.set_revision(change.before.revision());
  const auto add = [&](std::vector<pb::PlanStep> steps) {
    for (pb::PlanStep& step : steps) *plan.add_steps() = std::move(step);
  };
  const Concerned concerned = concerned_by(change, source);
  const std::set<std::string>* only = concerned.only();
  // Layers only look at the two fleets: those that tell most are asked beside the others, or after
  // them where the system has no thread left.
  constexpr auto kBeside = std::launch::async | std::launch::deferred;
  auto mesh = std::async(kBeside, [&] { return explain_mesh(change.before, change.after, only); });
  auto placement = std::async(
      kBeside, [&] { return explain_placement(change.before, change.after, change.keys); });
  add(explain_model(change));
  add(explain_machines(change.before, change.after, only));
  add(explain_firewall(change.before, change.after, only));
  add(explain_configuration(change.before, change.after, only));
  add(mesh.get());
  add(placement.get());
  add(explain_drains(change.before, change.after, change.keys));
  add(explain_tenants(change.before, change.after, concerned.tenants));
  if (plan.steps_size() > 0)
    *plan.mutable_blast_radius() = blast_radius(change, plan, source, concerned);
  return plan;
}

}  // namespace frameworks
