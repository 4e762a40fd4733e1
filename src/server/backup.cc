#include "server/backup.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "model/registry.h"

namespace frameworks {
namespace {

constexpr size_t kPiece = size_t{256} << 10;
// A resource may be larger than what clients take as one message (4 MiB).
constexpr size_t kMaxPiece = size_t{1} << 20;
constexpr size_t kRows = 1'000;
// Keys and tokens are far smaller.
constexpr uintmax_t kMaxFile = uintmax_t{1} << 20;

int64_t to_us(WallTime time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

Result<pb::ArchiveRecord> file_record(const std::filesystem::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return errno_error("stat " + path.string());
  ASSIGN_OR_RETURN(std::string content, read_file(path));
  if (content.size() > kMaxFile)
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} has {} bytes, a key has at most {}: take it out of the state folder",
                             path.string(), content.size(), kMaxFile));
  pb::ArchiveRecord record;
  record.mutable_file()->set_name(path.filename().string());
  record.mutable_file()->set_mode(static_cast<int32_t>(info.st_mode & 0777));
  record.mutable_file()->set_content(std::move(content));
  return record;
}

Result<std::vector<std::filesystem::path>> kept_files(const std::filesystem::path& state) {
  std::vector<std::filesystem::path> out;
  std::error_code error;
  for (std::filesystem::directory_iterator at(state, error), end; !error && at != end;
       at.increment(error))
    if (at->is_regular_file(error) && is_kept_file(at->path().filename().string()))
      out.push_back(at->path());
  if (error)
    return Error(Code::kUnavailable, fmt::format("read {}: {}", state.string(), error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

bool is_kept_file(std::string_view name) {
  return !name.starts_with("fleet.db") && !name.starts_with(".") && name != "lock" &&
         name != "listening.json" && !name.ends_with(".new");  // a file that is being written
}

Result<std::unique_ptr<Backup>> Backup::begin(const Store& store,
                                              const std::filesystem::path& state, WallTime now) {
  auto out = std::unique_ptr<Backup>(new Backup(store, store.snapshot()));
  pb::ArchiveRecord record;
  pb::ArchiveHeader& header = *record.mutable_header();
  header.set_magic(std::string(kArchiveMagic));
  header.set_version(kArchiveVersion);
  header.set_revision(out->revision());
  header.set_time_us(to_us(out->snapshot_->time()));
  header.set_made_us(to_us(now));
  header.set_program(FW_VERSION);
  out->writer_.add(record, out->pending_);
  ASSIGN_OR_RETURN(const auto files, kept_files(state));
  for (const auto& path : files) {
    ASSIGN_OR_RETURN(const pb::ArchiveRecord file, file_record(path));
    out->writer_.add(file, out->pending_);
  }
  return out;
}

void Backup::list_objects() {
  for (const Kind& kind : all_kinds())
    snapshot_->scan(kind, [&](const Resource& resource) {
      const pb::Metadata& metadata = resource.metadata();
      objects_.push_back({metadata.revision(), &kind, metadata.tenant(), metadata.name()});
      return true;
    });
  std::stable_sort(objects_.begin(), objects_.end(),
                   [](const Object& a, const Object& b) { return a.revision < b.revision; });
}

void Backup::add_objects(Revision upto, std::string& out) {
  for (; next_object_ < objects_.size() && out.size() < kPiece; ++next_object_) {
    const Object& object = objects_[next_object_];
    if (object.revision > upto) return;
    const Resource resource = snapshot_->peek(*object.kind, object.tenant, object.name);
    pb::ArchiveRecord record;
    record.mutable_object()->set_kind(object.kind->name);
    record.mutable_object()->set_tenant(object.tenant);
    record.mutable_object()->set_name(object.name);
    CHECK(resource.message().SerializeToString(record.mutable_object()->mutable_message()));
    writer_.add(record, out);
  }
}

Status Backup::read_audit() {
  ASSIGN_OR_RETURN(rows_, store_.read_audit({position_, first_position(revision() + 1)}, kRows));
  next_row_ = 0;
  audit_done_ = rows_.empty();
  if (position_ > 0 && !rows_.empty() && rows_.front().record.empty())
    return Error(Code::kAborted, "the audit log was cut off during the backup: begin again");
  return {};
}

Status Backup::fill() {
  if (objects_.empty()) list_objects();
  while (pending_.size() < kPiece) {
    if (next_row_ == rows_.size() && !audit_done_) RETURN_IF_ERROR(read_audit());
    // Resources go before the entries of their revision.
    const Revision upto = audit_done_ ? revision() : revision_of(rows_[next_row_].position);
    add_objects(upto, pending_);
    if (pending_.size() >= kPiece) return {};
    if (audit_done_) {
      writer_.end(pending_);
      ended_ = true;
      given_ = revision();
      return {};
    }
    AuditRow& row = rows_[next_row_++];
    pb::ArchiveRecord record;
    record.mutable_audit()->set_position(row.position);
    record.mutable_audit()->set_record(std::move(row.record));
    record.mutable_audit()->set_hash(std::move(row.hash));
    writer_.add(record, pending_);
    position_ = row.position + 1;
    given_ = upto - 1;
  }
  return {};
}

Result<std::string> Backup::next() {
  if (!ended_ && pending_.size() < kPiece) RETURN_IF_ERROR(fill());
  std::string out = pending_.substr(0, kMaxPiece);
  pending_.erase(0, out.size());
  return out;
}

}  // namespace frameworks
