// Fleet: resources of every kind.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "server/filter.h"
#include "server/handlers.h"
#include "server/plan.h"
#include "server/public_form.h"
#include "server/unfinished.h"
#include "server/watch_stream.h"

namespace frameworks {
namespace {

constexpr int kMaxPage = 1000;
constexpr char kSeparator = '\x1f';

Result<const Kind*> kind_named(const std::string& name) {
  const Kind* kind = find_kind(name);
  if (kind == nullptr)
    return Error(Code::kInvalidArgument, fmt::format("unknown kind \"{}\"", name));
  return kind;
}

Status get(const Store& store, const pb::GetRequest& request, pb::GetResponse& response) {
  ASSIGN_OR_RETURN(const Kind* kind, kind_named(request.kind()));
  const SnapshotPtr snapshot = store.snapshot();
  const ResourceKey key{kind->name, request.tenant(), request.name()};
  const Resource* found = snapshot->find(key);
  if (found == nullptr) return Error(Code::kNotFound, fmt::format("{}: not found", key.text()));
  ASSIGN_OR_RETURN(const auto fields, fields_of(*kind, request.fields()));
  *response.mutable_resource() = public_form(*found, fields);
  response.set_revision(snapshot->revision());
  return {};
}

// Orders as pages do: by tenant, then name.
std::string place_of(const Resource& resource) {
  return resource.metadata().tenant() + kSeparator + resource.metadata().name();
}

// A page's token says behind which resource the next one begins, and of which list it is: of any
// other it is refused.
std::string list_of(const pb::ListRequest& request, const Kind& kind) {
  std::string text = kind.name;
  for (const std::string* part : {&request.tenant(), &request.filter()}) text += kSeparator + *part;
  return sha256(text).substr(0, 8);
}

Result<std::string> place_of_token(const pb::ListRequest& request, const Kind& kind) {
  if (request.page_token().empty()) return std::string();
  const auto token = base64_decode(request.page_token());
  if (!token || token->size() <= 8 || token->substr(0, 8) != list_of(request, kind))
    return Error::invalid({{{}, 0, "", "pageToken", "is not of this list: begin without one"}});
  return token->substr(8);
}

Status list(const Store& store, const pb::ListRequest& request, pb::ListResponse& response) {
  ASSIGN_OR_RETURN(const Kind* kind, kind_named(request.kind()));
  ASSIGN_OR_RETURN(const std::string after, place_of_token(request, *kind));
  ASSIGN_OR_RETURN(const Filter filter, Filter::parse(request.filter(), {kind}));
  ASSIGN_OR_RETURN(const auto fields, fields_of(*kind, request.fields()));
  const SnapshotPtr snapshot = store.snapshot();
  std::vector<Resource> all;
  if (request.tenant().empty())
    all = snapshot->list(*kind);
  else if (kind->tenant_owned)
    all = snapshot->find_by(*kind, "tenant", request.tenant());
  auto at = all.begin();
  if (!after.empty())
    at = std::partition_point(all.begin(), all.end(), [&](const Resource& resource) {
      return place_of(resource) <= after;
    });
  const int limit = request.page_size() == 0 ? kMaxPage : request.page_size();
  std::string last;
  for (; at != all.end(); ++at) {
    if (!filter.matches(at->message())) continue;
    if (response.resources_size() == limit) {
      response.set_next_page_token(base64_encode(list_of(request, *kind) + last));
      break;
    }
    last = place_of(*at);
    *response.add_resources() = public_form(*at, fields);
  }
  response.set_revision(snapshot->revision());
  return {};
}

// The edit, and with it the operation that brings the world there, as one transaction.
Edit with_operation(const Fleet& fleet, const Caller& caller, const Edit& edit,
                    std::shared_ptr<PlannedChange> outcome,
                    std::shared_ptr<std::string> operation) {
  const Unfinished unfinished = unfinished_work(*fleet.store.snapshot());
  *operation = unfinished.running;
  return [=](Transaction& transaction) -> Status {
    RETURN_IF_ERROR(edit(transaction));
    if (unfinished.incomplete || changes_anything(*outcome))
      *operation = Operations::enqueue(transaction, "apply", 0, caller.name);
    return {};
  };
}

Status change(const Fleet& fleet, const Caller& caller, const Edit& edit, bool dry_run,
              const std::shared_ptr<PlannedChange>& outcome, pb::ApplyResponse& response) {
  if (dry_run) {
    auto planned = fleet.store.dry_run(edit, nullptr);
    if (!planned) return std::move(planned.error());
    *response.mutable_plan() = explain(*outcome, fleet.plans);
    response.set_revision(response.plan().revision());
    return {};
  }
  const auto operation = std::make_shared<std::string>();
  auto committed =
      fleet.store.write(actor(caller), with_operation(fleet, caller, edit, outcome, operation));
  if (!committed) return std::move(committed.error());
  fleet.operations.wake();
  *response.mutable_plan() = explain(*outcome, fleet.plans);
  response.set_revision(committed->revision);
  response.set_operation(*operation);
  return {};
}

}  // namespace

void add_fleet_methods(Api& api, const Fleet& fleet) {
  api.add<pb::GetRequest, pb::GetResponse>(
      "frameworks.v1.Fleet/Get", Runs::kInline,
      [&store = fleet.store](const Caller&, const auto& request, auto& response) {
        return get(store, request, response);
      });
  api.add<pb::ListRequest, pb::ListResponse>(
      "frameworks.v1.Fleet/List", Runs::kWorker,
      [&store = fleet.store](const Caller&, const auto& request, auto& response) {
        return list(store, request, response);
      });
  api.add<pb::ApplyRequest, pb::ApplyResponse>(
      "frameworks.v1.Fleet/Apply", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) -> Status {
        const auto outcome = std::make_shared<PlannedChange>();
        ASSIGN_OR_RETURN(const Edit edit, apply_edit(request, outcome));
        return change(fleet, caller, edit, request.dry_run(), outcome, response);
      });
  api.add<pb::DeleteRequest, pb::ApplyResponse>(
      "frameworks.v1.Fleet/Delete", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) -> Status {
        const auto outcome = std::make_shared<PlannedChange>();
        ASSIGN_OR_RETURN(const Edit edit, delete_edit(request, outcome));
        return change(fleet, caller, edit, request.dry_run(), outcome, response);
      });
  api.add_stream<pb::WatchRequest, pb::WatchEvent>(
      "frameworks.v1.Fleet/Watch",
      [&store = fleet.store](const Caller&, const auto& request, Poke poke) {
        return open_watch(store, request, std::move(poke));
      });
  api.add<pb::StatusRequest, pb::StatusResponse>(
      "frameworks.v1.Fleet/Status", Runs::kWorker,
      [fleet](const Caller&, const auto& request, auto& response) {
        return fill_status(fleet, request, response);
      });
}

}  // namespace frameworks
