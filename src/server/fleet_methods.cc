// Fleet: resources of every kind.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "model/pack.h"
#include "runtime/access/change_rules.h"
#include "server/applied_requests.h"
#include "server/filter.h"
#include "server/handlers.h"
#include "server/pages.h"
#include "server/plan.h"
#include "server/public_form.h"
#include "server/unfinished.h"
#include "server/watch_stream.h"

namespace frameworks {
namespace {

constexpr int kMaxPage = 1000;

Result<const Kind*> kind_named(const std::string& name) {
  const Kind* kind = find_kind(name);
  if (kind == nullptr)
    return Error(Code::kInvalidArgument, fmt::format("unknown kind \"{}\"", name));
  return kind;
}

Status get(const Store& store, const Caller& caller, const pb::GetRequest& request,
           pb::GetResponse& response) {
  ASSIGN_OR_RETURN(const Kind* kind, kind_named(request.kind()));
  const SnapshotPtr snapshot = store.snapshot();
  const ResourceKey key{kind->name, request.tenant(), request.name()};
  const Visibility visibility(*snapshot, caller.tenant);
  const Resource* found = visibility.find(key);
  if (found == nullptr) return not_found(key);
  ASSIGN_OR_RETURN(const auto fields, fields_of(*kind, request.fields()));
  *response.mutable_resource() = public_form(visibility.shown(*found), fields);
  response.set_revision(snapshot->revision());
  return {};
}

Status list(const Store& store, const Caller& caller, const pb::ListRequest& request,
            pb::ListResponse& response) {
  ASSIGN_OR_RETURN(const Kind* kind, kind_named(request.kind()));
  ASSIGN_OR_RETURN(const std::string after, page_begin(request, *kind));
  ASSIGN_OR_RETURN(const Filter filter, Filter::parse(request.filter(), {kind}));
  ASSIGN_OR_RETURN(const auto fields, fields_of(*kind, request.fields()));
  const SnapshotPtr snapshot = store.snapshot();
  const Visibility visibility(*snapshot, caller.tenant);
  const int limit = request.page_size() == 0 ? kMaxPage : request.page_size();
  std::string last;
  scan_after(visibility, *kind, request.tenant(), after, [&](const Resource& resource) {
    const Resource shown = visibility.shown(resource);
    if (!filter.matches(shown.message())) return true;
    if (response.resources_size() == limit) {
      response.set_next_page_token(page_token(request, *kind, last));
      return false;
    }
    last = place_of(resource);
    *response.add_resources() = public_form(shown, fields);
    return true;
  });
  response.set_revision(snapshot->revision());
  return {};
}

// The edit, and with it the operation that brings the world there, as one transaction.
Edit with_operation(const Fleet& fleet, const Caller& caller, const Edit& edit,
                    std::shared_ptr<PlannedChange> outcome,
                    std::shared_ptr<std::string> operation) {
  const Unfinished unfinished = unfinished_work(*fleet.store.snapshot());
  return [=](Transaction& transaction) -> Status {
    *operation = unfinished.running;  // anew: the edit may run again
    RETURN_IF_ERROR(edit(transaction));
    if (unfinished.incomplete || changes_anything(*outcome))
      *operation = Operations::enqueue(transaction, "apply", 0, caller.name);
    return {};
  };
}

pb::Role role_of(const Caller& caller) {
  return caller.role == pb::ACCESS_ADMIN      ? pb::ROLE_ADMIN
         : caller.role == pb::ACCESS_OPERATOR ? pb::ROLE_OPERATOR
                                              : pb::ROLE_VIEWER;
}

// What was refused, without what it says of resources that the caller does not see.
Error for_caller(const Caller& caller, Error error, const std::set<std::string>& own) {
  if (caller.tenant.empty() || error.violations().empty()) return error;
  std::vector<Violation> violations;
  for (const Violation& violation : error.violations()) {
    Violation shown = violation;
    const bool names_others = violation.message.find('/') != std::string::npos;
    if (!own.contains(violation.object)) shown.object.clear(), shown.field.clear();
    if (!own.contains(violation.object) || names_others)
      shown.message = "is not available, or out of range: choose another value";
    violations.push_back(std::move(shown));
  }
  return Error::invalid(std::move(violations));
}

// Of a caller that is bound to a tenant.
Result<Edit> tenants_apply(const Caller& caller, const pb::ApplyRequest& request,
                           const Edit& edit) {
  if (request.prune())
    return Error(Code::kPermissionDenied,
                 "pruning is for callers of the whole fleet: delete resources one by one");
  auto items = std::make_shared<std::vector<Resource>>();
  auto own = std::make_shared<std::set<std::string>>();
  for (const pb::FleetItem& item : request.items()) {
    ASSIGN_OR_RETURN(Resource resource, unpack(item.resource()));
    own->insert(resource.key().text());
    items->push_back(std::move(resource));
  }
  return Edit([=](Transaction& transaction) -> Status {
    const Snapshot before = transaction.snapshot();
    RETURN_IF_ERROR(check_items(role_of(caller), Visibility(before, caller.tenant), *items));
    if (Status done = edit(transaction); !done) return for_caller(caller, done.error(), *own);
    return {};
  });
}

// Checks the items against the rules of who may write what, at the moment of the write.
Result<Edit> allowed_apply(const Caller& caller, const pb::ApplyRequest& request,
                           const std::shared_ptr<PlannedChange>& outcome) {
  ApplyRules rules;
  rules.prunable = [role = role_of(caller)](const Kind& kind) {
    return role == pb::ROLE_ADMIN || !is_for_administrators(kind);
  };
  if (caller.tenant.empty())
    rules.check = [role = role_of(caller)](const Snapshot& before,
                                           std::span<const Resource> items) {
      return check_items(role, Visibility(before, {}), items);
    };
  ASSIGN_OR_RETURN(Edit edit, apply_edit(request, outcome, std::move(rules)));
  if (caller.tenant.empty()) return edit;
  return tenants_apply(caller, request, edit);
}

Result<Edit> allowed_delete(const Caller& caller, const pb::DeleteRequest& request,
                            const std::shared_ptr<PlannedChange>& outcome) {
  ASSIGN_OR_RETURN(const Kind* kind, kind_named(request.kind()));
  const ResourceKey key{kind->name, request.tenant(), request.name()};
  const auto edit = delete_edit(request, outcome);
  return Edit([=](Transaction& transaction) -> Status {
    const Snapshot before = transaction.snapshot();
    RETURN_IF_ERROR(check_removal(role_of(caller), Visibility(before, caller.tenant), key));
    if (!edit) return edit.error();
    if (Status done = (*edit)(transaction); !done) return for_caller(caller, done.error(), {});
    return {};
  });
}

// A caller that is bound to a tenant is told of the model only: what follows in the layers names
// what it does not see.
pb::Plan plan_for(const Fleet& fleet, const Caller& caller, const PlannedChange& outcome) {
  pb::Plan plan = explain(outcome, fleet.plans);
  if (caller.tenant.empty()) return plan;
  auto& steps = *plan.mutable_steps();
  steps.erase(std::remove_if(steps.begin(), steps.end(),
                             [](const pb::PlanStep& step) { return step.layer() != "model"; }),
              steps.end());
  plan.clear_blast_radius();
  return plan;
}

// An edit with all that its answer needs.
struct Wanted {
  Edit edit;
  std::shared_ptr<PlannedChange> outcome;
  AppliedRequests::RequestPtr request = nullptr;  // with an id
};

Status change(const Fleet& fleet, AppliedRequests* requests, const Caller& caller,
              const Wanted& wanted, bool dry_run, pb::ApplyResponse& response) {
  const auto& outcome = wanted.outcome;
  if (dry_run) {
    auto planned = fleet.store.dry_run(wanted.edit, nullptr);
    if (!planned) return std::move(planned.error());
    *response.mutable_plan() = plan_for(fleet, caller, *outcome);
    response.set_revision(response.plan().revision());
    return {};
  }
  const auto operation = std::make_shared<std::string>();
  Edit edit = with_operation(fleet, caller, wanted.edit, outcome, operation);
  if (wanted.request != nullptr) edit = requests->once(wanted.request, edit, operation);
  auto committed = fleet.store.write(actor(caller), edit);
  if (!committed) return std::move(committed.error());
  if (wanted.request != nullptr && wanted.request->known) {
    AppliedRequests::answer(*wanted.request->known, response);
    if (!caller.tenant.empty()) response.clear_operation();
    return {};
  }
  fleet.operations.wake();
  *response.mutable_plan() = plan_for(fleet, caller, *outcome);
  response.set_revision(committed->revision);
  if (caller.tenant.empty()) response.set_operation(*operation);
  if (wanted.request != nullptr) requests->remember(*wanted.request, response);
  return {};
}

}  // namespace

Status change_fleet(const Fleet& fleet, const Caller& caller, const Edit& edit, bool dry_run,
                    const std::shared_ptr<PlannedChange>& outcome, pb::ApplyResponse& response) {
  return change(fleet, nullptr, caller, {edit, outcome}, dry_run, response);
}

void add_fleet_methods(Api& api, const Fleet& fleet) {
  const auto requests = std::make_shared<AppliedRequests>(fleet.store, fleet.clock, fleet.seal);
  api.add<pb::GetRequest, pb::GetResponse>(
      "frameworks.v1.Fleet/Get", Runs::kInline,
      [&store = fleet.store](const Caller& caller, const auto& request, auto& response) {
        return get(store, caller, request, response);
      });
  api.add<pb::ListRequest, pb::ListResponse>(
      "frameworks.v1.Fleet/List", Runs::kWorker,
      [&store = fleet.store](const Caller& caller, const auto& request, auto& response) {
        return list(store, caller, request, response);
      });
  api.add<pb::ApplyRequest, pb::ApplyResponse>(
      "frameworks.v1.Fleet/Apply", Runs::kWorker,
      [fleet, requests](const Caller& caller, const auto& request, auto& response) -> Status {
        Wanted wanted{nullptr, std::make_shared<PlannedChange>()};
        ASSIGN_OR_RETURN(wanted.edit, allowed_apply(caller, request, wanted.outcome));
        if (!request.request_id().empty())
          wanted.request = AppliedRequests::request(caller, request);
        return change(fleet, requests.get(), caller, wanted, request.dry_run(), response);
      });
  api.add<pb::DeleteRequest, pb::ApplyResponse>(
      "frameworks.v1.Fleet/Delete", Runs::kWorker,
      [fleet, requests](const Caller& caller, const auto& request, auto& response) -> Status {
        Wanted wanted{nullptr, std::make_shared<PlannedChange>()};
        ASSIGN_OR_RETURN(wanted.edit, allowed_delete(caller, request, wanted.outcome));
        return change(fleet, requests.get(), caller, wanted, request.dry_run(), response);
      });
  api.add_stream<pb::WatchRequest, pb::WatchEvent>(
      "frameworks.v1.Fleet/Watch", [&store = fleet.store, forms = std::make_shared<EventForms>()](
                                       const Caller& caller, const auto& request, Poke poke) {
        return open_watch(store, forms, caller.tenant, request, std::move(poke));
      });
  api.add<pb::StatusRequest, pb::StatusResponse>(
      "frameworks.v1.Fleet/Status", Runs::kWorker,
      [fleet](const Caller&, const auto& request, auto& response) {
        return fill_status(fleet, request, response);
      });
}

}  // namespace frameworks
