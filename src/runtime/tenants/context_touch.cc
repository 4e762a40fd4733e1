#include "runtime/tenants/context_touch.h"

#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>

#include <string>

#include "base/keyed_hash.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"

namespace frameworks {
namespace {

using google::protobuf::util::MessageDifferencer;

ContextMark mark(char kind, std::string_view name) {
  std::string text(1, kind);
  text += name;
  return static_cast<ContextMark>(keyed_hash(text) % kContextMarks);
}

bool same(const Message& a, const Message& b) { return MessageDifferencer::Equals(a, b); }

bool same_tenant(const pb::Tenant& a, const pb::Tenant& b) {
  if (a.metadata().uid() != b.metadata().uid() ||
      a.metadata().has_delete_time() != b.metadata().has_delete_time() ||
      a.status().domains_size() != b.status().domains_size() || !same(a.spec(), b.spec()))
    return false;
  for (int i = 0; i < a.status().domains_size(); ++i)
    if (a.status().domains(i).domain() != b.status().domains(i).domain() ||
        a.status().domains(i).state() != b.status().domains(i).state())
      return false;
  return true;
}

// Also the same when only its status was written, unless the grant ran out in between: from that
// write on the context is known to be another one.
bool same_grant(const pb::Grant& a, const pb::Grant& b) {
  const auto ran_out = [](const pb::Grant& grant) {
    return grant.spec().has_expire_time() &&
           grant.metadata().update_time() >= grant.spec().expire_time();
  };
  return a.metadata().has_delete_time() == b.metadata().has_delete_time() &&
         same(a.spec(), b.spec()) && ran_out(a) == ran_out(b);
}

bool same_node(const pb::Node& a, const pb::Node& b) {
  return a.spec().cluster() == b.spec().cluster() && a.spec().address() == b.spec().address() &&
         a.spec().mesh_address() == b.spec().mesh_address() &&
         a.spec().availability() == b.spec().availability() &&
         a.status().health().state() == b.status().health().state() &&
         a.status().health().saturated().empty() == b.status().health().saturated().empty();
}

bool same_instance(const pb::Instance& a, const pb::Instance& b) {
  return a.spec().service() == b.spec().service() && a.spec().node() == b.spec().node() &&
         a.status().state() == b.status().state();
}

void add_cluster_of_node(const Snapshot& after, const std::string& name, ContextTouch& out) {
  // A node that went away in the same transaction tells its cluster itself.
  if (const auto* node = after.find<pb::Node>(name); node != nullptr)
    out.marks.push_back(cluster_mark(node->spec().cluster()));
}

// What the log tells has no `before`: then it may have been anywhere, unless it was made just now.
bool came_from_nowhere(const Change& change) {
  if (change.before) return false;
  return !change.after || !same(change.after.metadata().create_time(),
                                change.after.metadata().update_time());
}

template <typename T, typename Same>
bool unchanged(const Change& change, Same same_for_contexts) {
  return change.before && change.after &&
         same_for_contexts(change.before.as<T>(), change.after.as<T>());
}

}  // namespace

ContextMark tenant_mark(std::string_view tenant) { return mark('t', tenant); }
ContextMark cluster_mark(std::string_view cluster) { return mark('c', cluster); }
ContextMark service_mark(std::string_view service) { return mark('s', service); }

ContextTouch touched_contexts(const Snapshot& after, const Change& change) {
  ContextTouch out;
  const ResourceKey& key = change.key;
  const auto same_spec = [](const auto& a, const auto& b) { return same(a.spec(), b.spec()); };
  if (key.kind == "Tenant") {
    if (!unchanged<pb::Tenant>(change, same_tenant)) out.marks.push_back(tenant_mark(key.name));
  } else if (key.kind == "Grant") {
    if (!unchanged<pb::Grant>(change, same_grant)) out.marks.push_back(tenant_mark(key.tenant));
  } else if (key.kind == "Cluster") {
    if (!unchanged<pb::Cluster>(change, same_spec)) out.marks.push_back(cluster_mark(key.name));
  } else if (key.kind == "Service") {
    if (!unchanged<pb::Service>(change, same_spec)) out.marks.push_back(service_mark(key.name));
  } else if (key.kind == "Node") {
    if (unchanged<pb::Node>(change, same_node)) return out;
    for (const Resource* side : {&change.before, &change.after})
      if (*side) out.marks.push_back(cluster_mark(side->as<pb::Node>().spec().cluster()));
    out.everything = came_from_nowhere(change);
  } else if (key.kind == "Instance") {
    if (unchanged<pb::Instance>(change, same_instance)) return out;
    for (const Resource* side : {&change.before, &change.after})
      if (*side) add_cluster_of_node(after, side->as<pb::Instance>().spec().node(), out);
    out.everything = came_from_nowhere(change);
  }
  return out;
}

}  // namespace frameworks
