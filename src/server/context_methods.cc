// Tenants: what their programs need to know, from memory.
#include <fmt/format.h>

#include "base/read_section.h"
#include "frameworks/v1/cluster.pb.h"
#include "runtime/tenants/tenant_context.h"
#include "server/handlers.h"

namespace frameworks {
namespace {

constexpr int kMaxBatch = 1000;

Error no_tenant(const std::string& name) {
  return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", name));
}

// Nothing but the revision when the caller has a later one than that of the last change.
Ready unless_known(Ready context, int64_t if_none_match, const Store& store) {
  const bool known =
      if_none_match >= context->revision && if_none_match > 0 && if_none_match <= store.revision();
  return known ? not_modified(context->revision) : std::move(context);
}

struct Found {
  std::string tenant;
  Ready context;  // null: nobody's, or not of the tenant that the caller is bound to
};
// By any name. Another tenant's is as unknown as nobody's.
Result<Found> visible_context(const Fleet& fleet, const Caller& caller, const pb::TenantKey& key) {
  Found out;
  ASSIGN_OR_RETURN(out.context, fleet.contexts.find(key, &out.tenant));
  if (!key.api_key().empty()) {
    const auto principal = fleet.tokens.whose(key.api_key(), address_of(caller.source));
    if (principal == nullptr || principal->tenant.empty()) return Found();
    out.tenant = principal->tenant;
    out.context = fleet.contexts.find(out.tenant);
  }
  if (!caller.tenant.empty() && caller.tenant != out.tenant) return Found();
  return out;
}

// What visible_context() would find, if it is at hand. False: it is not.
bool take_prepared(const Fleet& fleet, const Caller& caller, const pb::TenantKey& key,
                   std::string& tenant, pb::TenantContext& context) {
  const ReadSection section;
  std::string_view name;
  const ReadyAnswer* answer = fleet.contexts.find_prepared(section, key, &name);
  if (answer == nullptr || (!caller.tenant.empty() && caller.tenant != name)) return false;
  for (const Piece& piece : answer->proto) CHECK(context.MergeFromString(*piece));
  tenant = name;
  return true;
}

Status batch_contexts(const Fleet& fleet, const Caller& caller,
                      const pb::BatchTenantContextsRequest& request,
                      pb::BatchTenantContextsResponse& response) {
  if (request.keys_size() > kMaxBatch)
    return Error::invalid({{{},
                            0,
                            "",
                            "keys",
                            fmt::format("are {}, and at most {} are answered at once: ask in parts",
                                        request.keys_size(), kMaxBatch)}});
  const uint64_t before = fleet.contexts.changes();
  response.set_revision(fleet.store.revision());
  std::vector<std::string> tenants;
  for (const pb::TenantKey& key : request.keys()) {
    pb::TenantContext& context = *response.add_contexts();
    std::string& tenant = tenants.emplace_back();
    if (take_prepared(fleet, caller, key, tenant, context)) continue;
    ASSIGN_OR_RETURN(const Found found, visible_context(fleet, caller, key));
    if (found.context == nullptr) continue;
    tenant = found.tenant;
    CHECK(context.ParseFromString(joined(found.context->proto)));
  }
  if (fleet.contexts.changes() == before) return {};
  // Something changed meanwhile: the slow way is of one snapshot in any case.
  const SnapshotPtr snapshot = fleet.store.snapshot();
  response.set_revision(snapshot->revision());
  for (size_t i = 0; i < tenants.size(); ++i) {
    pb::TenantContext& context = *response.mutable_contexts(static_cast<int>(i));
    context.Clear();
    if (auto found = tenant_context(*snapshot, tenants[i]); found) context = std::move(*found);
  }
  return {};
}

class ContextStream final : public ReplyStream {
 public:
  explicit ContextStream(std::unique_ptr<ContextWatch> watch) : watch_(std::move(watch)) {}
  Result<State> next(Message&) override {
    ASSIGN_OR_RETURN(ready_, watch_->next());
    return ready_ == nullptr ? State::kWait : State::kReady;
  }
  Ready ready(Form) override { return std::move(ready_); }

 private:
  std::unique_ptr<ContextWatch> watch_;
  Ready ready_;
};

// A tenant sees who may use the clusters that it owns.
Status list_by_cluster(const Snapshot& snapshot, const Caller& caller,
                       const pb::ListClusterTenantsRequest& request,
                       pb::ListClusterTenantsResponse& response) {
  const auto* cluster = snapshot.find<pb::Cluster>(request.cluster());
  const bool hidden =
      !caller.tenant.empty() && (cluster == nullptr || cluster->spec().owner() != caller.tenant);
  if (hidden)
    return Error(Code::kNotFound, fmt::format("cluster \"{}\" does not exist", request.cluster()));
  ASSIGN_OR_RETURN(response, cluster_tenants(snapshot, request));
  return {};
}

}  // namespace

void add_context_methods(Api& api, const Fleet& fleet) {
  api.add_ready<pb::GetTenantContextRequest, pb::TenantContext>(
      "frameworks.v1.Tenants/GetContext",
      [fleet](const Caller&, const auto& request) -> Result<Ready> {
        Ready found = fleet.contexts.find(request.tenant());
        if (found == nullptr) return no_tenant(request.tenant());
        return unless_known(std::move(found), request.if_none_match(), fleet.store);
      });
  api.add_ready<pb::FindTenantContextRequest, pb::TenantContext>(
      "frameworks.v1.Tenants/FindContext",
      [fleet](const Caller& caller, const auto& request) -> Result<Ready> {
        ASSIGN_OR_RETURN(Found found, visible_context(fleet, caller, request.key()));
        if (found.context == nullptr)
          return Error(Code::kNotFound, "no tenant is known by this key");
        return unless_known(std::move(found.context), request.if_none_match(), fleet.store);
      });
  api.add<pb::BatchTenantContextsRequest, pb::BatchTenantContextsResponse>(
      "frameworks.v1.Tenants/BatchContexts", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return batch_contexts(fleet, caller, request, response);
      });
  api.add_stream<pb::WatchTenantContextRequest, pb::TenantContext>(
      "frameworks.v1.Tenants/WatchContext",
      [fleet](const Caller&, const auto& request,
              Poke poke) -> Result<std::unique_ptr<ReplyStream>> {
        ASSIGN_OR_RETURN(auto watch, fleet.contexts.watch(request.tenant(), std::move(poke)));
        return std::make_unique<ContextStream>(std::move(watch));
      });
  api.add<pb::ListClusterTenantsRequest, pb::ListClusterTenantsResponse>(
      "frameworks.v1.Tenants/ListByCluster", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return list_by_cluster(*fleet.store.snapshot(), caller, request, response);
      });
}

}  // namespace frameworks
