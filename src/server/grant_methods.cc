// Grants: asked for, approved, rejected; and invites, with which tenants get them by themselves.
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "model/validate.h"
#include "runtime/access/change_rules.h"
#include "runtime/access/rate_limit.h"
#include "runtime/tenants/entitlement.h"
#include "runtime/tenants/invite.h"
#include "server/handlers.h"
#include "server/plan.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

constexpr int64_t kDefaultInviteSeconds = 168 * 3600;
constexpr int64_t kMaxInviteSeconds = 8760 * 3600;
// Invites that are of no use any more are kept this long, for those who ask why theirs is refused.
constexpr int64_t kKeepInviteSeconds = 24 * 3600;
constexpr size_t kMaxReason = 1000;
// Wrong codes of one address: as many at once, and a second. As of wrong tokens.
constexpr int64_t kWrongCodes = 100;
constexpr int64_t kWrongCodesPerSecond = 10;

google::protobuf::Timestamp timestamp(WallTime time) {
  return TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

Error invalid(const char* field, std::string message) {
  return Error::invalid({{{}, 0, "", field, std::move(message)}});
}

// Writes what `change` puts at `key` (whose name it may choose), or says what it would be. What the
// model's rules say against it may name what a caller that is bound to a tenant does not see.
Status run(const Fleet& fleet, const Caller& caller, const ResourceKey& key, bool dry_run,
           const Edit& change, pb::GrantResponse& response) {
  const auto outcome = std::make_shared<PlannedChange>();
  const Edit edit = checked_edit(change, outcome);
  const auto done =
      dry_run ? fleet.store.dry_run(edit, nullptr) : fleet.store.write(actor(caller), edit);
  if (!done && !caller.tenant.empty() && !done.error().violations().empty())
    return Error(Code::kFailedPrecondition,
                 "the cluster's or the tenant's rules are against it: ask an operator");
  if (!done) return done.error();
  response.set_revision(done->revision);
  if (const Resource* found = outcome->after.find(key))
    *response.mutable_grant() = found->as<pb::Grant>();
  return {};
}

// The tenant's grant on a cluster, whatever its state; nullptr: none.
const pb::Grant* grant_on(const Snapshot& snapshot, const std::string& tenant,
                          const std::string& cluster) {
  for (const auto& grant : snapshot.find_by<pb::Grant>("tenant", tenant))
    if (grant->spec().cluster() == cluster)
      return &snapshot.find({"Grant", tenant, grant->metadata().name()})->as<pb::Grant>();
  return nullptr;
}

// A name for a grant on the cluster: the cluster's, or that with a number.
std::string free_name(const Snapshot& snapshot, const std::string& tenant,
                      const std::string& cluster) {
  std::string name = cluster;
  for (int i = 2; snapshot.find({"Grant", tenant, name}) != nullptr; ++i)
    name = fmt::format("{}-{}", cluster, i);
  return name;
}

// Clusters that a tenant may ask for: those it sees, and those that are shared. Others are to it as
// if they did not exist.
Status check_requestable(const Snapshot& snapshot, const Caller& caller,
                         const std::string& cluster) {
  const auto* found = snapshot.find<pb::Cluster>(cluster);
  const Visibility visibility(snapshot, caller.tenant);
  const bool open = found != nullptr && (found->spec().sharing() == pb::SHARING_SHARED ||
                                         visibility.sees(Resource::of(*found)));
  return open ? Status() : not_found({"Cluster", {}, cluster});
}

// The grant as it is once it was asked for.
Result<pb::Grant> requested(const pb::Grant* existing, const pb::RequestGrantRequest& request,
                            std::string name, WallTime now) {
  const pb::GrantLevel level =
      request.level() == pb::GRANT_LEVEL_UNSPECIFIED ? pb::GRANT_LEVEL_USE : request.level();
  pb::Grant grant;
  if (existing != nullptr) {
    grant = *existing;
    const bool holds = grant_state(grant, now) == pb::GRANT_STATE_ACTIVE;
    if (holds && grant.spec().level() >= level) return grant;  // nothing to ask for
    if (holds)
      return Error(
          Code::kFailedPrecondition,
          fmt::format("Grant/{}/{} gives a lower level already: ask an operator to raise it",
                      request.tenant(), grant.metadata().name()));
  } else {
    grant.mutable_metadata()->set_name(std::move(name));
    grant.mutable_metadata()->set_tenant(request.tenant());
    grant.mutable_spec()->set_cluster(request.cluster());
  }
  grant.mutable_spec()->set_level(level);
  grant.mutable_spec()->set_approval(pb::APPROVAL_REQUESTED);
  grant.mutable_spec()->set_reason(request.reason());
  grant.mutable_spec()->clear_expire_time();
  return grant;
}

Status request_grant(const Fleet& fleet, const Caller& caller,
                     const pb::RequestGrantRequest& request, pb::GrantResponse& response) {
  if (request.reason().size() > kMaxReason)
    return invalid("reason", fmt::format("has more than {} characters: shorten it", kMaxReason));
  ResourceKey key{"Grant", request.tenant(), {}};
  const Edit edit = [&](Transaction& transaction) -> Status {
    const Snapshot& now = transaction.snapshot();
    if (now.find<pb::Tenant>(request.tenant()) == nullptr)
      return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", request.tenant()));
    RETURN_IF_ERROR(check_requestable(now, caller, request.cluster()));
    const pb::Grant* existing = grant_on(now, request.tenant(), request.cluster());
    ASSIGN_OR_RETURN(pb::Grant grant, requested(existing, request,
                                                free_name(now, request.tenant(), request.cluster()),
                                                transaction.time()));
    key.name = grant.metadata().name();
    transaction.put(std::move(grant));
    return {};
  };
  return run(fleet, caller, key, request.dry_run(), edit, response);
}

// The grant, if the caller may decide on it: operators, and who manages the cluster.
Result<pb::Grant> decidable(const Snapshot& snapshot, const Caller& caller,
                            const ResourceKey& key) {
  const Visibility visibility(snapshot, caller.tenant);
  const Resource* found = visibility.find(key);
  if (found == nullptr) return not_found(key);
  const auto& grant = found->as<pb::Grant>();
  if (!visibility.manages(grant.spec().cluster()))
    return Error(Code::kPermissionDenied,
                 fmt::format("{}: cluster \"{}\" is not yours to give access to", key.text(),
                             grant.spec().cluster()));
  return grant;
}

Status approve_grant(const Fleet& fleet, const Caller& caller,
                     const pb::ApproveGrantRequest& request, pb::GrantResponse& response) {
  const ResourceKey key{"Grant", request.tenant(), request.grant()};
  const Edit edit = [&](Transaction& transaction) -> Status {
    ASSIGN_OR_RETURN(pb::Grant grant, decidable(transaction.snapshot(), caller, key));
    pb::GrantSpec& spec = *grant.mutable_spec();
    spec.set_approval(pb::APPROVAL_APPROVED);
    if (request.has_expire_time()) *spec.mutable_expire_time() = request.expire_time();
    if (request.has_limits()) *spec.mutable_limits() = request.limits();
    if (grant_state(grant, transaction.time()) != pb::GRANT_STATE_ACTIVE)
      return invalid("expireTime", fmt::format("{} is over: give one that is ahead",
                                               TimeUtil::ToString(spec.expire_time())));
    transaction.put(std::move(grant));
    return {};
  };
  return run(fleet, caller, key, request.dry_run(), edit, response);
}

Status reject_grant(const Fleet& fleet, const Caller& caller, const pb::RejectGrantRequest& request,
                    pb::GrantResponse& response) {
  if (request.reason().size() > kMaxReason)
    return invalid("reason", fmt::format("has more than {} characters: shorten it", kMaxReason));
  const ResourceKey key{"Grant", request.tenant(), request.grant()};
  const Edit edit = [&](Transaction& transaction) -> Status {
    ASSIGN_OR_RETURN(pb::Grant grant, decidable(transaction.snapshot(), caller, key));
    grant.mutable_spec()->set_approval(pb::APPROVAL_REJECTED);
    if (!request.reason().empty()) grant.mutable_spec()->set_reason(request.reason());
    transaction.put(std::move(grant));
    return {};
  };
  return run(fleet, caller, key, request.dry_run(), edit, response);
}

void remove_stale_invites(Transaction& transaction) {
  const int64_t limit = timestamp(transaction.time()).seconds() - kKeepInviteSeconds;
  for (const auto& invite : transaction.snapshot().list<pb::Invite>())
    if (invite->spec().has_expire_time() && invite->spec().expire_time().seconds() < limit)
      transaction.remove({"Invite", {}, invite->metadata().name()});
}

Status create_invite(const Fleet& fleet, const Caller& caller,
                     const pb::CreateInviteRequest& request, pb::CreateInviteResponse& response) {
  const int64_t ttl = request.has_ttl() ? request.ttl().seconds() : kDefaultInviteSeconds;
  if (ttl <= 0 || ttl > kMaxInviteSeconds)
    return invalid("ttl", fmt::format("{} s is out of range (1 s to 8760h)", ttl));
  if (!caller.tenant.empty() && !request.for_tenant().empty())
    return invalid("forTenant", "is for callers of the whole fleet: leave it out");
  const NewInvite made = make_invite();
  google::protobuf::Timestamp expiry;
  const Edit edit = [&](Transaction& transaction) -> Status {
    const ResourceKey cluster{"Cluster", {}, request.cluster()};
    const Visibility visibility(transaction.snapshot(), caller.tenant);
    if (visibility.find(cluster) == nullptr) return not_found(cluster);
    if (!visibility.manages(request.cluster()))
      return Error(Code::kPermissionDenied,
                   fmt::format("cluster \"{}\" is not yours to give access to", request.cluster()));
    remove_stale_invites(transaction);
    pb::Invite invite;
    invite.mutable_metadata()->set_name(made.name);
    pb::InviteSpec& spec = *invite.mutable_spec();
    spec.set_cluster(request.cluster());
    spec.set_level(request.level());
    *spec.mutable_limits() = request.limits();
    spec.set_max_uses(request.max_uses());
    spec.set_tenant(request.for_tenant());
    spec.set_code_hash(made.code_hash);
    expiry = timestamp(transaction.time() + std::chrono::seconds(ttl));
    *spec.mutable_expire_time() = expiry;
    transaction.put(with_defaults(Resource::of(std::move(invite))));
    return {};
  };
  const Edit checked = checked_edit(edit, std::make_shared<PlannedChange>());
  const auto done = request.dry_run() ? fleet.store.dry_run(checked, nullptr)
                                      : fleet.store.write(actor(caller), checked);
  if (!done) return done.error();
  response.set_name(made.name);
  *response.mutable_expire_time() = expiry;
  // What was not made cannot be used.
  if (!request.dry_run()) response.set_token(made.code);
  return {};
}

// Whatever is wrong with a code.
Error refused_code() {
  return {Code::kNotFound,
          "no invite is open to you by this code: look for a typing error, or ask for a new one"};
}

// Counts the use and makes the grant, or finds the one that this tenant got by this invite before.
Status accept(Transaction& transaction, const pb::AcceptInviteRequest& request, ResourceKey& key) {
  const Snapshot& now = transaction.snapshot();
  const pb::Invite* invite = find_invite(now, request.code());
  if (invite == nullptr) return refused_code();
  if (now.find<pb::Tenant>(request.tenant()) == nullptr)
    return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", request.tenant()));
  const pb::Grant* existing = grant_on(now, request.tenant(), invite->spec().cluster());
  if (existing != nullptr && existing->spec().invite() == invite->metadata().name()) {
    key.name = existing->metadata().name();
    return {};
  }
  if (!is_open_to(*invite, request.tenant(), transaction.time())) return refused_code();
  if (existing != nullptr)
    return Error(Code::kAlreadyExists,
                 fmt::format("Grant/{}/{} is for the same cluster: delete it first",
                             request.tenant(), existing->metadata().name()));
  pb::Grant grant = grant_of(*invite, request.tenant());
  grant.mutable_metadata()->set_name(free_name(now, request.tenant(), invite->spec().cluster()));
  key.name = grant.metadata().name();
  pb::Invite used = *invite;
  used.mutable_status()->set_uses(used.status().uses() + 1);
  transaction.put(std::move(used));
  transaction.put(with_defaults(Resource::of(std::move(grant))));
  return {};
}

Status accept_invite(const Fleet& fleet, const Caller& caller,
                     const pb::AcceptInviteRequest& request, AddressLimits& wrong,
                     pb::GrantResponse& response) {
  ResourceKey key{"Grant", request.tenant(), {}};
  // A guess costs no write, and no more than a wrong token.
  const bool known = find_invite(*fleet.store.snapshot(), request.code()) != nullptr;
  if (!known) {
    const std::string address(address_of(caller.source));
    if (!wrong.allow(address, fleet.clock.mono()))
      return Error(Code::kResourceExhausted,
                   "too many wrong codes from this address: try again in a second");
    return refused_code();
  }
  const Edit edit = [&](Transaction& transaction) { return accept(transaction, request, key); };
  return run(fleet, caller, key, request.dry_run(), edit, response);
}

}  // namespace

void add_grant_methods(Api& api, const Fleet& fleet) {
  api.add<pb::RequestGrantRequest, pb::GrantResponse>(
      "frameworks.v1.Grants/Request", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return request_grant(fleet, caller, request, response);
      });
  api.add<pb::ApproveGrantRequest, pb::GrantResponse>(
      "frameworks.v1.Grants/Approve", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return approve_grant(fleet, caller, request, response);
      });
  api.add<pb::RejectGrantRequest, pb::GrantResponse>(
      "frameworks.v1.Grants/Reject", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return reject_grant(fleet, caller, request, response);
      });
  api.add<pb::CreateInviteRequest, pb::CreateInviteResponse>(
      "frameworks.v1.Grants/CreateInvite", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return create_invite(fleet, caller, request, response);
      });
  api.add<pb::AcceptInviteRequest, pb::GrantResponse>(
      "frameworks.v1.Grants/AcceptInvite", Runs::kWorker,
      [fleet, wrong = std::make_shared<AddressLimits>(kWrongCodesPerSecond, kWrongCodes)](
          const Caller& caller, const auto& request, auto& response) {
        return accept_invite(fleet, caller, request, *wrong, response);
      });
}

}  // namespace frameworks
