#include "runtime/tenants/domain_check.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "base/text.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

constexpr Duration kFirstCheck = std::chrono::seconds(15);
constexpr Duration kLastCheck = std::chrono::hours(1);
constexpr Duration kVerifiedCheck = std::chrono::hours(24);

google::protobuf::Timestamp timestamp(WallTime time) {
  return TimeUtil::MicrosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count());
}

Duration since(const google::protobuf::Timestamp& then, WallTime now) {
  return now.time_since_epoch() - std::chrono::seconds(then.seconds()) -
         std::chrono::nanoseconds(then.nanos());
}

bool is_verified_by_another(const Snapshot& snapshot, const std::string& tenant,
                            const std::string& domain) {
  const auto claims = snapshot.find_by<pb::Tenant>("domain", domain);
  return std::any_of(claims.begin(), claims.end(), [&](const auto& other) {
    const auto* status = find_domain(*other, domain);
    return other->metadata().name() != tenant && status != nullptr &&
           status->state() == pb::DOMAIN_STATE_VERIFIED;
  });
}

// The tenant with what was found, as it is now.
Result<pb::Tenant> with_result(const Snapshot& snapshot, const std::string& name,
                               const std::string& domain,
                               const Result<std::vector<std::string>>& found, WallTime now) {
  const auto* tenant = snapshot.find<pb::Tenant>(name);
  if (tenant == nullptr)
    return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", name));
  const auto* known = find_domain(*tenant, domain);
  if (known == nullptr)
    return Error(Code::kNotFound,
                 fmt::format("tenant \"{}\" has no domain \"{}\": add it to spec.domains first",
                             name, domain));
  if (tenant->metadata().has_delete_time())
    return Error(Code::kFailedPrecondition,
                 fmt::format("tenant \"{}\" is being deleted: nothing is verified for it", name));
  pb::DomainStatus judged = judge_domain(*known, found, now);
  if (judged.state() == pb::DOMAIN_STATE_VERIFIED &&
      is_verified_by_another(snapshot, name, domain)) {
    judged.set_state(pb::DOMAIN_STATE_FAILED);
    judged.set_message("the domain was verified for another tenant before");
    judged.clear_verify_time();
  }
  pb::Tenant out = *tenant;
  for (pb::DomainStatus& status : *out.mutable_status()->mutable_domains())
    if (status.domain() == domain) status = judged;
  return out;
}

}  // namespace

std::string challenge_name(const std::string& domain) { return "_frameworks." + domain; }

std::string domain_challenge(const pb::Tenant& tenant, const std::string& domain) {
  return "frameworks-domain=" +
         sha256_hex(fmt::format("frameworks domain {} {}", tenant.metadata().uid(), domain))
             .substr(0, 40);
}

const pb::DomainStatus* find_domain(const pb::Tenant& tenant, const std::string& domain) {
  for (const pb::DomainStatus& status : tenant.status().domains())
    if (status.domain() == domain) return &status;
  return nullptr;
}

pb::DomainStatus judge_domain(const pb::DomainStatus& was,
                              const Result<std::vector<std::string>>& found, WallTime now) {
  pb::DomainStatus out = was;
  *out.mutable_check_time() = timestamp(now);
  const std::string at = challenge_name(was.domain());
  if (!found && found.error().code() != Code::kNotFound) {
    out.set_message(fmt::format("the TXT record at {} could not be looked for: {}", at,
                                found.error().message()));
    return out;
  }
  if (found && std::find(found->begin(), found->end(), was.challenge()) != found->end()) {
    out.set_state(pb::DOMAIN_STATE_VERIFIED);
    out.clear_message();
    *out.mutable_verify_time() = timestamp(now);
    return out;
  }
  out.set_message(found
                      ? fmt::format("the TXT record at {} has another value than the challenge", at)
                      : fmt::format("there is no TXT record at {}", at));
  const bool keeps =
      was.state() == pb::DOMAIN_STATE_VERIFIED && since(was.verify_time(), now) < kDomainGrace;
  if (!keeps) out.set_state(pb::DOMAIN_STATE_FAILED);
  return out;
}

Duration next_check_after(const pb::DomainStatus& status, int failures) {
  if (status.state() == pb::DOMAIN_STATE_VERIFIED && status.message().empty())
    return kVerifiedCheck;
  const int doublings = std::clamp(failures - 1, 0, 20);
  return std::min<Duration>(kFirstCheck * (int64_t{1} << doublings), kLastCheck);
}

Result<pb::DomainStatus> check_domain(Store& store, TxtResolver& resolver, const Actor& actor,
                                      const std::string& tenant, const std::string& domain,
                                      DryRun dry_run) {
  // Who is not there is not asked for.
  const auto not_found = Error(Code::kNotFound, "");
  const SnapshotPtr snapshot = store.snapshot();
  const auto known = with_result(*snapshot, tenant, domain, not_found, snapshot->time());
  if (!known) return known.error();
  const auto found = resolver.find_txt(challenge_name(domain));
  pb::DomainStatus status;
  const Edit edit = [&](Transaction& transaction) -> Status {
    ASSIGN_OR_RETURN(pb::Tenant changed, with_result(transaction.snapshot(), tenant, domain, found,
                                                     transaction.time()));
    status = *find_domain(changed, domain);
    transaction.put(std::move(changed));
    return {};
  };
  const auto done =
      dry_run == DryRun::kYes ? store.dry_run(edit, nullptr) : store.write(actor, edit);
  if (!done) return done.error();
  return status;
}

}  // namespace frameworks
