// Whether the audit log is as it was written.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "store/audit_chain.h"

namespace frameworks {

// Log::read_audit() or Store::read_audit().
using AuditReader = std::function<Result<std::vector<AuditRow>>(const AuditRange&, size_t)>;

struct AuditVerdict {
  // The chain holds for the entries after `start` (what was before was cut off, or never written) up
  // to `head`.
  Revision start = 0;
  AuditHead head;
  int64_t entries = 0;
  // Empty, or what is wrong and at which revision first; what is after it was not looked at.
  std::string problem;
};

// Recomputes all of it in bounded memory. `newest`: the revision of the fleet, whose entries must
// be there. `expected`: hashes that were kept elsewhere, by the revision whose last entry they are
// of, as 32 bytes. An error is one of reading.
Result<AuditVerdict> verify_audit(const AuditReader& read, Revision newest,
                                  std::map<Revision, std::string> expected = {});

}  // namespace frameworks
