// Whether a custom domain is the tenant's: a TXT record of its zone says so.
//
// pending → verified or failed; whatever was found, it is looked for again (when: see
// next_check_after()). A verified domain stays so while the record is missing for three days, or
// while nobody can be asked. Judging is pure; check_domain() asks and writes.
#pragma once

#include <string>

#include "frameworks/v1/tenant.pb.h"
#include "runtime/tenants/txt_resolver.h"
#include "store/store.h"

namespace frameworks {

// How long a verified domain's record may be missing.
inline constexpr Duration kDomainGrace = std::chrono::hours(72);

// Where the record is: "_frameworks.<domain>".
std::string challenge_name(const std::string& domain);
// The record's text. The tenant's alone: another tenant that puts its own there proves itself.
std::string domain_challenge(const pb::Tenant& tenant, const std::string& domain);

// The tenant's status of a domain; nullptr when it has none.
const pb::DomainStatus* find_domain(const pb::Tenant& tenant, const std::string& domain);

// What `found` says of a domain whose status was `was`. An error that is not kNotFound leaves the
// state as it is.
pb::DomainStatus judge_domain(const pb::DomainStatus& was,
                              const Result<std::vector<std::string>>& found, WallTime now);

// 15 s after the first check that did not prove it, then twice as long each time, up to an hour; a
// day for what is verified and was seen.
Duration next_check_after(const pb::DomainStatus& status, int failures);

// Asks, which may take some seconds, and writes what was found. A domain that another tenant has
// verified meanwhile is failed. kNotFound: no such tenant, or the tenant has no such domain;
// kFailedPrecondition: the tenant is being deleted. `dry_run` asks and does not write.
enum class DryRun { kNo, kYes };
Result<pb::DomainStatus> check_domain(Store& store, TxtResolver& resolver, const Actor& actor,
                                      const std::string& tenant, const std::string& domain,
                                      DryRun dry_run);

}  // namespace frameworks
