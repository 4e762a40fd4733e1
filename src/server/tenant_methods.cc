// Tenants: their life.
#include <fmt/format.h>
#include <google/protobuf/util/field_mask_util.h>

#include <atomic>
#include <cctype>

#include "base/text.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "model/validate.h"
#include "runtime/tenants/domain_check.h"
#include "runtime/tenants/tenant_deletion.h"
#include "server/handlers.h"
#include "server/plan.h"

namespace frameworks {
namespace {

using google::protobuf::util::FieldMaskUtil;

Error no_tenant(const std::string& name) {
  return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", name));
}

// The same for the same request id, in the form of a UUID (version 8: made by a rule of our own).
std::string uid_of_request(const std::string& request_id) {
  std::string hex = sha256_hex("frameworks tenant " + request_id).substr(0, 32);
  hex[12] = '8';
  hex[16] = 'a';
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

// Writes what `edit` leaves of the tenant, or says what it would be.
Status run(const Fleet& fleet, const Caller& caller, const std::string& tenant, bool dry_run,
           const Edit& change, pb::TenantResponse& response) {
  const auto outcome = std::make_shared<PlannedChange>();
  const Edit edit = checked_edit(change, outcome);
  const auto done =
      dry_run ? fleet.store.dry_run(edit, nullptr) : fleet.store.write(actor(caller), edit);
  if (!done) return done.error();
  response.set_revision(done->revision);
  if (const auto* found = outcome->after.find<pb::Tenant>(tenant))
    *response.mutable_tenant() = *found;
  return {};
}

Status create(const Fleet& fleet, const Caller& caller, const pb::CreateTenantRequest& request,
              pb::TenantResponse& response) {
  pb::Tenant tenant;
  const pb::Metadata& given = request.tenant().metadata();
  pb::Metadata& metadata = *tenant.mutable_metadata();
  metadata.set_name(given.name());
  *metadata.mutable_labels() = given.labels();
  *metadata.mutable_annotations() = given.annotations();
  metadata.set_uid(given.uid());
  if (given.uid().empty() && !request.request_id().empty())
    metadata.set_uid(uid_of_request(request.request_id()));
  *tenant.mutable_spec() = request.tenant().spec();
  const auto name = std::make_shared<std::string>(given.name());
  const Edit edit = [&, name](Transaction& transaction) -> Status {
    const std::string& uid = metadata.uid();
    const auto made = uid.empty() ? std::vector<std::shared_ptr<const pb::Tenant>>()
                                  : transaction.snapshot().find_by<pb::Tenant>("uid", uid);
    if (!made.empty()) {
      *name = made.front()->metadata().name();
      return {};
    }
    if (const auto* other = transaction.snapshot().find<pb::Tenant>(given.name()))
      return Error(Code::kAlreadyExists,
                   fmt::format("tenant \"{}\" {}", given.name(),
                               other->metadata().has_delete_time()
                                   ? "is being deleted: wait until it is gone"
                                   : "exists: choose another name, or update it"));
    transaction.put(with_defaults(Resource::of(tenant)));
    return {};
  };
  RETURN_IF_ERROR(run(fleet, caller, given.name(), request.dry_run(), edit, response));
  // Made before under another name.
  if (*name != given.name())
    if (const auto* found = fleet.store.snapshot()->find<pb::Tenant>(*name))
      *response.mutable_tenant() = *found;
  return {};
}

// As proto/ writes it, also for who asks in JSON's way.
std::string snake_case(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0) out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// Paths of what callers may change, as the mask has them.
Result<google::protobuf::FieldMask> mask_of(const pb::UpdateTenantRequest& request) {
  google::protobuf::FieldMask mask;
  if (request.fields().empty()) {
    for (const char* path : {"metadata.labels", "metadata.annotations", "spec"})
      mask.add_paths(path);
    return mask;
  }
  std::vector<Violation> violations;
  for (const std::string& field : request.fields()) {
    const std::string path = snake_case(field);
    const bool writable = path == "spec" || path.starts_with("spec.") ||
                          path == "metadata.labels" || path == "metadata.annotations";
    if (!writable || !FieldMaskUtil::IsValidPath<pb::Tenant>(path))
      violations.push_back({{},
                            0,
                            "",
                            "fields",
                            fmt::format("\"{}\" is no field of a tenant that can be written: give "
                                        "metadata.labels, metadata.annotations or one of spec",
                                        field)});
    mask.add_paths(path);
  }
  if (!violations.empty()) return Error::invalid(std::move(violations));
  return mask;
}

Status update(const Fleet& fleet, const Caller& caller, const pb::UpdateTenantRequest& request,
              pb::TenantResponse& response) {
  ASSIGN_OR_RETURN(const auto mask, mask_of(request));
  const pb::Metadata& given = request.tenant().metadata();
  const Edit edit = [&](Transaction& transaction) -> Status {
    const auto* stored = transaction.snapshot().find<pb::Tenant>(given.name());
    if (stored == nullptr) return no_tenant(given.name());
    if (given.revision() != 0 && stored->metadata().revision() != given.revision())
      return Error(Code::kAborted,
                   fmt::format("tenant \"{}\" is at revision {}, not {}: read it again",
                               given.name(), stored->metadata().revision(), given.revision()));
    pb::Tenant next = *stored;
    FieldMaskUtil::MergeOptions options;
    options.set_replace_message_fields(true);
    options.set_replace_repeated_fields(true);
    FieldMaskUtil::MergeMessageTo(request.tenant(), mask, options, &next);
    transaction.put(with_defaults(Resource::of(std::move(next))));
    return {};
  };
  return run(fleet, caller, given.name(), request.dry_run(), edit, response);
}

// Suspends, or ends it; the same again changes nothing.
template <typename Request>
Status set_suspended(const Fleet& fleet, const Caller& caller, const Request& request,
                     bool suspended, pb::TenantResponse& response) {
  const Edit edit = [&](Transaction& transaction) -> Status {
    const auto* stored = transaction.snapshot().find<pb::Tenant>(request.tenant());
    if (stored == nullptr) return no_tenant(request.tenant());
    pb::Tenant next = *stored;
    next.mutable_spec()->set_suspended(suspended);
    transaction.put(std::move(next));
    return {};
  };
  return run(fleet, caller, request.tenant(), request.dry_run(), edit, response);
}

// The mark, or what it would wait for; asked again, what it still waits for.
Status remove(const Fleet& fleet, const Caller& caller, const pb::DeleteTenantRequest& request,
              pb::TenantResponse& response) {
  const auto gone = std::make_shared<pb::Tenant>();
  const Edit edit = [&, gone](Transaction& transaction) -> Status {
    const auto* stored = transaction.snapshot().find<pb::Tenant>(request.tenant());
    if (stored == nullptr) return no_tenant(request.tenant());
    *gone = *stored;
    begin_deletion(transaction, request.tenant());
    return {};
  };
  RETURN_IF_ERROR(run(fleet, caller, request.tenant(), request.dry_run(), edit, response));
  if (response.has_tenant()) return {};
  // Nothing was left of it: it is gone already.
  *response.mutable_tenant() = *gone;
  response.mutable_tenant()->mutable_status()->set_state(pb::TENANT_STATE_DELETING);
  return {};
}

// A question to the DNS takes seconds when nobody answers: few at a time, so that workers remain.
Status verify_domain(const Fleet& fleet, const Caller& caller,
                     const pb::VerifyDomainRequest& request, std::atomic<int>& asking,
                     pb::VerifyDomainResponse& response) {
  constexpr int kAtOnce = 2;
  const struct Turn {
    explicit Turn(std::atomic<int>& count) : count(count), place(++count) {}
    ~Turn() { --count; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    std::atomic<int>& count;
    const int place;
  } turn(asking);
  if (turn.place > kAtOnce)
    return Error(Code::kResourceExhausted,
                 "other domains are being looked for: try again in a few seconds");
  ASSIGN_OR_RETURN(*response.mutable_domain(),
                   check_domain(fleet.store, fleet.txt, actor(caller), request.tenant(),
                                request.domain(), request.dry_run() ? DryRun::kYes : DryRun::kNo));
  return {};
}

}  // namespace

void add_tenant_methods(Api& api, const Fleet& fleet) {
  api.add<pb::CreateTenantRequest, pb::TenantResponse>(
      "frameworks.v1.Tenants/Create", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return create(fleet, caller, request, response);
      });
  api.add<pb::UpdateTenantRequest, pb::TenantResponse>(
      "frameworks.v1.Tenants/Update", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return update(fleet, caller, request, response);
      });
  api.add<pb::SuspendTenantRequest, pb::TenantResponse>(
      "frameworks.v1.Tenants/Suspend", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return set_suspended(fleet, caller, request, true, response);
      });
  api.add<pb::ResumeTenantRequest, pb::TenantResponse>(
      "frameworks.v1.Tenants/Resume", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return set_suspended(fleet, caller, request, false, response);
      });
  api.add<pb::DeleteTenantRequest, pb::TenantResponse>(
      "frameworks.v1.Tenants/Delete", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return remove(fleet, caller, request, response);
      });
  api.add<pb::VerifyDomainRequest, pb::VerifyDomainResponse>(
      "frameworks.v1.Tenants/VerifyDomain", Runs::kWorker,
      [fleet, asking = std::make_shared<std::atomic<int>>(0)](const Caller& caller,
                                                              const auto& request, auto& response) {
        return verify_domain(fleet, caller, request, *asking, response);
      });
}

}  // namespace frameworks
