#include "store/audit_retention.h"

#include <fmt/format.h>

#include "frameworks/v1/audit_record.pb.h"

namespace frameworks {
namespace {

// Between two looks, so that entries go in parts worth the effort.
constexpr Duration kPause = std::chrono::minutes(10);
constexpr size_t kRows = 1'000;

}  // namespace

Status AuditRetention::run(Revision newest) {
  const WallTime now = clock_.wall();
  if (keep_ == Duration{} || now < due_) return {};
  due_ = now + kPause;  // also when it fails
  const WallTime limit = now - keep_;
  int64_t kept = 0;  // the first row that stays
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<AuditRow> rows,
                     log_.read_audit({kept, first_position(newest)}, kRows));
    bool old = true;
    for (const AuditRow& row : rows) {
      pb::AuditRecord record;
      if (!record.ParseFromString(row.record))
        return Error(Code::kDataLoss, fmt::format("the audit entry of revision {} is broken",
                                                  revision_of(row.position)));
      old = row.record.empty() || WallTime{std::chrono::microseconds(record.time_us())} < limit;
      if (!old) break;
      kept = row.position + 1;
    }
    if (rows.empty() || !old) break;
  }
  if (kept > 0) {
    RETURN_IF_ERROR(log_.cut_audit(kept));
  }
  return {};
}

}  // namespace frameworks
