#include "runtime/access/change_rules.h"

#include <fmt/format.h>

#include <set>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/field_rules.h"
#include "model/registry.h"

namespace frameworks {
namespace {

bool is_machine_kind(const Kind& kind) { return kind.name == "Node" || kind.name == "MachinePool"; }

const std::string& cluster_of(const Resource& machine) {
  return machine.kind().name == "Node" ? machine.as<pb::Node>().spec().cluster()
                                       : machine.as<pb::MachinePool>().spec().cluster();
}

Error only_administrators(const Kind& kind) {
  return {Code::kPermissionDenied,
          fmt::format("{}: only administrators write {}", kind.name, kind.plural)};
}

class ItemCheck {
 public:
  explicit ItemCheck(const Visibility& visibility) : visibility_(visibility) {}

  void check(const Resource& item) {
    object_ = item.key().text();
    const std::string& cluster = cluster_of(item);
    bool cluster_told = false;
    for_each_reference(item.message(), [&](const std::string& field, const std::string& kind,
                                           const std::string& name) {
      if (name.empty() || visibility_.find({kind, {}, name}) != nullptr || is_given(kind, name))
        return;
      // As validation says it of what does not exist.
      fail(field,
           fmt::format("{} \"{}\" does not exist: create it, or correct the name", kind, name));
      cluster_told |= kind == "Cluster";
    });
    if (cluster_told || cluster.empty()) return;
    // Who operates a cluster configures the nodes that it has; who manages it decides which it has.
    const Resource* stored = visibility_.find(item.key());
    const bool configures = stored != nullptr && item.kind().name == "Node" &&
                            cluster_of(*stored) == cluster && visibility_.operates(cluster);
    if (!configures && !visibility_.manages(cluster))
      return fail("spec.cluster",
                  fmt::format("cluster \"{}\" is not run by tenant \"{}\": its machines are not "
                              "yours to change",
                              cluster, visibility_.tenant()));
    check_name(item, cluster);
  }

  void gives(const Resource& item) { given_.insert(item.key()); }
  std::vector<Violation>& violations() { return violations_; }

 private:
  // Names are unique in the whole fleet. Those of a cluster begin with its name, so that a name
  // being taken tells nothing of other clusters.
  void check_name(const Resource& item, const std::string& cluster) {
    const std::string& name = item.name();
    const Resource* existing = visibility_.snapshot().find(item.key());
    if (existing != nullptr && visibility_.sees(*existing)) return;
    if (name != cluster && !name.starts_with(cluster + "-"))
      return fail("metadata.name", fmt::format("\"{}\": names of machines of this cluster begin "
                                               "with \"{}-\"",
                                               name, cluster));
    if (existing != nullptr)
      fail("metadata.name", fmt::format("\"{}\" is not available: choose another name", name));
  }

  bool is_given(const std::string& kind, const std::string& name) const {
    return given_.contains({kind, {}, name});
  }
  void fail(std::string field, std::string message) {
    violations_.push_back({{}, 0, object_, std::move(field), std::move(message)});
  }

  const Visibility& visibility_;
  std::set<ResourceKey> given_;
  std::string object_;
  std::vector<Violation> violations_;
};

}  // namespace

bool is_for_administrators(const Kind& kind) {
  return kind.name == "Account" || kind.name == "AccessToken" || kind.name == "Secret" ||
         kind.name == "IdentityProvider";
}

Status derive_tokens(Transaction& transaction) {
  for (const ResourceKey& key : transaction.changed()) {
    if (key.kind != "Account" || transaction.snapshot().find(key) != nullptr) continue;
    for (const auto& token : transaction.snapshot().find_by<pb::AccessToken>("account", key.name))
      transaction.remove({"AccessToken", {}, token->metadata().name()});
  }
  return {};
}

Error not_found(const ResourceKey& key) {
  return {Code::kNotFound, fmt::format("{}: not found", key.text())};
}

Status check_items(pb::Role role, const Visibility& visibility, std::span<const Resource> items) {
  ItemCheck check(visibility);
  for (const Resource& item : items) {
    if (role < pb::ROLE_ADMIN && is_for_administrators(item.kind()))
      return only_administrators(item.kind());
    if (!visibility.everything() && !is_machine_kind(item.kind()))
      return Error(Code::kPermissionDenied,
                   fmt::format("{}: callers of tenant \"{}\" write nodes and machine pools of the "
                               "clusters that it runs, and nothing else",
                               item.kind().name, visibility.tenant()));
    if (!visibility.everything()) check.gives(item);
  }
  if (visibility.everything()) return {};
  for (const Resource& item : items) check.check(item);
  if (check.violations().empty()) return {};
  return Error::invalid(std::move(check.violations()));
}

Status check_removal(pb::Role role, const Visibility& visibility, const ResourceKey& key) {
  const Kind* kind = find_kind(key.kind);
  CHECK(kind != nullptr);
  if (role < pb::ROLE_ADMIN && is_for_administrators(*kind)) return only_administrators(*kind);
  const Resource* found = visibility.find(key);
  if (found == nullptr) return not_found(key);
  if (visibility.everything()) return {};
  const bool own_grant =
      kind->name == "Grant" && (found->metadata().tenant() == visibility.tenant() ||
                                visibility.manages(found->as<pb::Grant>().spec().cluster()));
  const bool own_invite =
      kind->name == "Invite" && visibility.manages(found->as<pb::Invite>().spec().cluster());
  const bool own_machine = (is_machine_kind(*kind) && visibility.manages(cluster_of(*found))) ||
                           (kind->name == "JoinToken" &&
                            visibility.manages(found->as<pb::JoinToken>().spec().cluster()));
  if (own_grant || own_invite || own_machine) return {};
  return Error(Code::kPermissionDenied, fmt::format("{}: is not tenant \"{}\"'s to delete",
                                                    key.text(), visibility.tenant()));
}

}  // namespace frameworks
