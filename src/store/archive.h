// A copy of a whole fleet as one stream of bytes that no database need understand: what it is made
// of stands in archive.proto. Every byte is covered by a checksum; the entries of the audit log by
// their chain besides. No SQL in here: the command line reads archives too.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "frameworks/v1/archive.pb.h"
#include "store/audit_chain.h"
#include "store/byte_source.h"

namespace frameworks {

inline constexpr std::string_view kArchiveMagic = "frameworks archive";
inline constexpr int kArchiveVersion = 1;

// SHA-256 of what was added so far.
class ArchiveDigest {
 public:
  ArchiveDigest();
  void add(std::string_view bytes);
  std::string end();

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// Records to bytes. The caller keeps their order.
class ArchiveWriter {
 public:
  // Appends the record's bytes to `out`.
  void add(const pb::ArchiveRecord& record, std::string& out);
  // Appends the last record.
  void end(std::string& out);

 private:
  ArchiveDigest digest_;
  pb::ArchiveEnd counts_;
};

// Bytes to records. Nothing that was read is certain until the end was.
class ArchiveReader {
 public:
  explicit ArchiveReader(ByteSource& source) : bytes_(source) {}

  // The first record. kDataLoss: no archive, or damaged. kFailedPrecondition: of a newer program.
  Result<pb::ArchiveHeader> header();
  // The next file, object or audit row; nothing once the end was read and is right. kDataLoss: bytes
  // are missing, were changed, or follow the end, or the order of records is wrong.
  Result<std::optional<pb::ArchiveRecord>> next();

  // Of what was read so far.
  [[nodiscard]] const pb::ArchiveEnd& counts() const { return counts_; }
  [[nodiscard]] const AuditCheck& audit() const { return audit_; }
  // Empty, or why the audit log is not as it was written: it was so when the copy was made.
  [[nodiscard]] const std::string& audit_problem() const { return audit_problem_; }

 private:
  Result<pb::ArchiveRecord> read_record();
  Status take_object(const pb::ArchiveObject& object);
  Status take_end(const pb::ArchiveEnd& end);

  ByteReader bytes_;
  ArchiveDigest digest_;
  pb::ArchiveHeader header_;
  pb::ArchiveEnd counts_;
  AuditCheck audit_;
  std::string audit_problem_;
  Revision newest_ = 0;
  bool ended_ = false;
};

}  // namespace frameworks
