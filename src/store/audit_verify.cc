#include "store/audit_verify.h"

#include <fmt/format.h>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr size_t kRows = 1'000;

class Verifier {
 public:
  Verifier(const AuditReader& read, std::map<Revision, std::string> expected)
      : read_(read), expected_(std::move(expected)) {}

  Result<AuditVerdict> run(Revision newest) {
    while (problem_.empty()) {
      const int64_t next = check_.head().position + 1;
      const Result<std::vector<AuditRow>> rows = read_({next}, kRows);
      if (!rows && rows.error().code() == Code::kDataLoss) {
        problem_ = rows.error().message();
        break;
      }
      if (!rows) return rows.error();
      if (rows->empty()) break;
      RETURN_IF_ERROR(take(*rows));
    }
    if (problem_.empty()) leave(check_.head(), INT64_MAX);
    const Revision last = revision_of(check_.head().position);
    if (problem_.empty() && last < newest)
      problem_ = fmt::format("revision {}: its entries are missing, and all up to revision {}",
                             last + 1, newest);
    return AuditVerdict{check_.start(), check_.head(), check_.entries(), problem_};
  }

 private:
  Status take(const std::vector<AuditRow>& rows) {
    // Entries were cut off since the last read: what is left begins with an anchor.
    if (rows.front().record.empty() && check_.head().position != 0) {
      ASSIGN_OR_RETURN(const std::vector<AuditRow> first, read_({}, 1));
      if (!first.empty() && first.front().position >= rows.front().position) check_.restart();
    }
    for (const AuditRow& row : rows) {
      const AuditHead before = check_.head();
      if (const Status status = check_.take(row); !status) {
        problem_ = status.error().message();
        return {};
      }
      leave(before, revision_of(row.position));
      if (!problem_.empty()) return {};
    }
    return {};
  }

  // `last` was the last row before those of revision `next`.
  void leave(const AuditHead& last, Revision next) {
    while (!expected_.empty() && expected_.begin()->first < next) {
      const auto& [revision, hash] = *expected_.begin();
      if (revision != revision_of(last.position)) {
        problem_ = fmt::format("revision {}: its hash cannot be compared: the entries of it are not "
                               "there",
                               revision);
      } else if (hash != last.hash) {
        problem_ = fmt::format("revision {}: the hash is {}, not {}: this entry or one before it was "
                               "written anew",
                               revision, hex_encode(last.hash), hex_encode(hash));
      }
      expected_.erase(expected_.begin());
    }
  }

  const AuditReader& read_;
  std::map<Revision, std::string> expected_;
  AuditCheck check_;
  std::string problem_;
};

}  // namespace

Result<AuditVerdict> verify_audit(const AuditReader& read, Revision newest,
                                  std::map<Revision, std::string> expected) {
  return Verifier(read, std::move(expected)).run(newest);
}

}  // namespace frameworks
