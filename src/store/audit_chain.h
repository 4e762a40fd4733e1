// The audit log's chain of hashes: an entry for each change, each with the hash of itself and of
// all before it.
//
//   hash = SHA-256(previous hash (32 bytes) ‖ previous position (8 bytes, big-endian) ‖
//                  position (8 bytes, big-endian) ‖ record)
//
// The first of a fleet has position (1, 0), and 32 zero bytes and position 0 before it. Revisions
// have no gaps, nor have the places in one; so an entry that is missing is noticed even where the
// chain was joined again. Who rewrites the chain from some entry to its end is found out only by a
// hash of the newest entry that was kept elsewhere.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "store/log.h"

namespace frameworks {

// Where a chain has come to.
struct AuditHead {
  int64_t position = 0;
  std::string hash = std::string(32, '\0');
};

// Where the chain stands at `revision`: the newest row that is not after it.
Result<AuditHead> audit_head(Log& log, Revision revision);

// The entry of a change: what it says of it, without secrets.
std::string audit_record(const Change& change);

std::string audit_hash(const AuditHead& previous, int64_t position, std::string_view record);

// The rows of changes that follow `head`, which moves to the last of them.
std::vector<AuditRow> chain(std::span<const Change> changes, AuditHead& head);

// Walks over the rows of a log in order and says whether they are as they were written.
class AuditCheck {
 public:
  // kDataLoss, naming the revision: this row is not what follows the ones before.
  Status take(const AuditRow& row);
  // Rows were cut off meanwhile: goes on with an anchor, which must be the first row that there is.
  void restart() { *this = AuditCheck(); }

  [[nodiscard]] const AuditHead& head() const { return head_; }
  // The revision before the first entry, and how many entries there were.
  [[nodiscard]] Revision start() const { return start_; }
  [[nodiscard]] int64_t entries() const { return entries_; }

 private:
  AuditHead head_;
  Revision start_ = 0;
  int64_t entries_ = 0;
  bool any_ = false;
};

}  // namespace frameworks
