#include "store/archive.h"

#include <fmt/format.h>

#include "model/registry.h"

namespace frameworks {
namespace {

constexpr size_t kSizeBytes = 4;
// An API request has 32 MiB at most, and so has a resource; an audit entry may have it twice.
constexpr size_t kMaxRecord = size_t{128} << 20;

std::string size_bytes(size_t size) {
  std::string out(kSizeBytes, '\0');
  for (size_t i = 0; i < kSizeBytes; ++i)
    out[i] = static_cast<char>((size >> (8 * (kSizeBytes - 1 - i))) & 0xff);
  return out;
}

size_t size_of(std::string_view bytes) {
  size_t out = 0;
  for (const char c : bytes) out = (out << 8) | static_cast<unsigned char>(c);
  return out;
}

Error damaged(std::string what) {
  return Error(Code::kDataLoss, "the archive is damaged: " + std::move(what));
}

}  // namespace

ArchiveDigest::ArchiveDigest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void ArchiveDigest::add(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string ArchiveDigest::end() {
  std::string out(32, '\0');
  CHECK(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr) ==
        1);
  return out;
}

void ArchiveWriter::add(const pb::ArchiveRecord& record, std::string& out) {
  if (record.has_file()) counts_.set_files(counts_.files() + 1);
  if (record.has_object()) counts_.set_objects(counts_.objects() + 1);
  if (record.has_audit()) counts_.set_audit_rows(counts_.audit_rows() + 1);
  const size_t from = out.size();
  out += size_bytes(record.ByteSizeLong());
  CHECK(record.AppendToString(&out));
  digest_.add(std::string_view(out).substr(from));
}

void ArchiveWriter::end(std::string& out) {
  pb::ArchiveRecord record;
  *record.mutable_end() = counts_;
  record.mutable_end()->set_sha256(digest_.end());
  out += size_bytes(record.ByteSizeLong());
  CHECK(record.AppendToString(&out));
}

Result<pb::ArchiveRecord> ArchiveReader::read_record() {
  ASSIGN_OR_RETURN(const std::string prefix, bytes_.take(kSizeBytes));
  const size_t size = size_of(prefix);
  if (prefix.size() < kSizeBytes) return damaged("it ends early");
  if (size > kMaxRecord) return damaged(fmt::format("a record of {} bytes", size));
  ASSIGN_OR_RETURN(const std::string bytes, bytes_.take(size));
  if (bytes.size() < size) return damaged("it ends early");
  pb::ArchiveRecord record;
  if (!record.ParseFromString(bytes)) return damaged("a record cannot be read");
  if (!record.has_end()) {
    digest_.add(prefix);
    digest_.add(bytes);
  }
  return record;
}

Result<pb::ArchiveHeader> ArchiveReader::header() {
  const std::string foreign = "this is no archive of a fleet";
  const Result<pb::ArchiveRecord> record = read_record();
  if (!record && record.error().code() != Code::kDataLoss) return record.error();
  if (!record) return record.error().with_context(foreign);
  if (record->header().magic() != kArchiveMagic) return Error(Code::kDataLoss, foreign);
  header_ = record->header();
  if (header_.version() != kArchiveVersion)
    return Error(Code::kFailedPrecondition,
                 fmt::format("the archive has version {}, this program knows {}: use the program "
                             "that wrote it ({})",
                             header_.version(), kArchiveVersion, header_.program()));
  return header_;
}

Status ArchiveReader::take_object(const pb::ArchiveObject& object) {
  const Kind* kind = find_kind(object.kind());
  if (kind == nullptr)
    return Error(Code::kFailedPrecondition,
                 fmt::format("kind \"{}\" of \"{}\" is unknown: use the program that wrote it ({})",
                             object.kind(), object.name(), header_.program()));
  const std::unique_ptr<Message> message = kind->make();
  if (!message->ParseFromString(object.message()))
    return damaged(fmt::format("{}/{} cannot be read", object.kind(), object.name()));
  const Revision revision = kind->metadata(*message).revision();
  if (revision < newest_ || revision > header_.revision() || revision < 1)
    return damaged(fmt::format("{}/{} is of revision {}, after {}", object.kind(), object.name(),
                               revision, newest_));
  newest_ = revision;
  counts_.set_objects(counts_.objects() + 1);
  return {};
}

Status ArchiveReader::take_end(const pb::ArchiveEnd& end) {
  if (end.files() != counts_.files() || end.objects() != counts_.objects() ||
      end.audit_rows() != counts_.audit_rows())
    return damaged("records are missing");
  if (end.sha256() != digest_.end()) return damaged("its checksum is another");
  ASSIGN_OR_RETURN(const std::string rest, bytes_.take(1));
  if (!rest.empty()) return damaged("something follows its end");
  const Revision audited = revision_of(audit_.head().position);
  if (audit_problem_.empty() && audited != header_.revision())
    audit_problem_ = fmt::format("it ends at revision {}, the fleet is at {}", audited,
                                 header_.revision());
  ended_ = true;
  return {};
}

Result<std::optional<pb::ArchiveRecord>> ArchiveReader::next() {
  if (ended_) return std::optional<pb::ArchiveRecord>();
  ASSIGN_OR_RETURN(pb::ArchiveRecord record, read_record());
  switch (record.record_case()) {
    case pb::ArchiveRecord::kFile:
      if (counts_.objects() + counts_.audit_rows() > 0) return damaged("its order is wrong");
      counts_.set_files(counts_.files() + 1);
      break;
    case pb::ArchiveRecord::kObject:
      RETURN_IF_ERROR(take_object(record.object()));
      break;
    case pb::ArchiveRecord::kAudit: {
      const auto& row = record.audit();
      const Revision revision = revision_of(row.position());
      if (revision < newest_ || revision > header_.revision()) return damaged("its order is wrong");
      newest_ = revision;
      if (audit_problem_.empty())
        if (const Status status = audit_.take({row.position(), row.record(), row.hash()}); !status)
          audit_problem_ = status.error().message();
      counts_.set_audit_rows(counts_.audit_rows() + 1);
      break;
    }
    case pb::ArchiveRecord::kEnd:
      RETURN_IF_ERROR(take_end(record.end()));
      return std::optional<pb::ArchiveRecord>();
    default:
      return damaged("a record of no known sort");
  }
  return std::optional<pb::ArchiveRecord>(std::move(record));
}

}  // namespace frameworks
