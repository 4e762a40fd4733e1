#include "server/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "model/registry.h"
#include "server/backup.h"
#include "server/store_choice.h"
#include "store/archive_file.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

// Rows that are appended in one transaction, or as many as one revision has.
constexpr size_t kRows = 2'000;

Status check_empty(const fs::path& state) {
  std::error_code error;
  if (!fs::exists(state, error)) return {};
  if (!fs::is_directory(state, error) || !fs::is_empty(state, error))
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} is not empty: restore into a new folder", state.string()));
  return {};
}

// The folder that is filled, ours alone while the lock is held; outside of it, so that its name can
// go away with the rename.
struct Workplace {
  fs::path folder;
  fs::path lock_path;
  Fd lock;
  ~Workplace() {
    std::error_code error;
    if (!lock.valid()) return;
    fs::remove_all(folder, error);
    fs::remove(lock_path, error);
  }
};

Status prepare(const fs::path& state, Workplace& place) {
  place.folder = state.string() + ".restoring";
  place.lock_path = state.string() + ".restoring-lock";
  std::error_code error;
  if (const fs::path parent = state.parent_path(); !parent.empty())
    fs::create_directories(parent, error);
  Fd lock(open(place.lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return errno_error("open " + place.lock_path.string());
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return Error(Code::kFailedPrecondition,
                 fmt::format("another restore to {} is running", state.string()));
  place.lock = std::move(lock);
  fs::remove_all(place.folder, error);
  if (mkdir(place.folder.c_str(), 0700) != 0) return errno_error("mkdir " + place.folder.string());
  return {};
}

Status sync_folder(const fs::path& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) return errno_error("fsync " + path.string());
  return {};
}

// A name that an archive may put into a state folder: no path, no database.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() < 200 && is_kept_file(name) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
         });
}

// Appends what an archive holds to a log that is new.
class LogFiller {
 public:
  explicit LogFiller(Log& log, const pb::ArchiveHeader& header) : log_(log), header_(header) {}

  Status take(const pb::ArchiveRecord& record) {
    Revision revision = 0;
    if (record.has_object()) {
      ASSIGN_OR_RETURN(Change change, change_of(record.object()));
      revision = change.revision;
      RETURN_IF_ERROR(flush_before(revision));
      changes_.push_back(std::move(change));
    } else {
      const auto& row = record.audit();
      revision = revision_of(row.position());
      RETURN_IF_ERROR(flush_before(revision));
      rows_.push_back({row.position(), row.record(), row.hash()});
    }
    revision_ = revision;
    return {};
  }

  Status end() {
    if (header_.revision() > 0 &&
        (changes_.empty() || changes_.back().revision != header_.revision())) {
      // The last write took something away, of which nothing is left. The log knows its revision
      // by its last change: what is taken away here is not there.
      Change last;
      last.revision = header_.revision();
      last.time = WallTime{std::chrono::microseconds(header_.time_us())};
      last.actor = kActor;
      last.key = {"Tenant", "", "-"};
      RETURN_IF_ERROR(flush_before(last.revision));
      changes_.push_back(std::move(last));
    }
    for (Change& change : changes_)
      if (change.revision == header_.revision())
        change.time = WallTime{std::chrono::microseconds(header_.time_us())};
    RETURN_IF_ERROR(flush());
    // The changes that led here are not known: watchers begin anew.
    return log_.compact(header_.revision());
  }

 private:
  static constexpr const char* kActor = "system/restore";

  static Result<Change> change_of(const pb::ArchiveObject& object) {
    const Kind* kind = find_kind(object.kind());
    CHECK(kind != nullptr);  // the reader has looked
    std::shared_ptr<Message> message = kind->make();
    CHECK(message->ParseFromString(object.message()));
    Change out;
    out.after = Resource(*kind, std::move(message));
    out.revision = out.after.metadata().revision();
    const auto& updated = out.after.metadata().update_time();
    out.time = WallTime{
        std::chrono::seconds(updated.seconds()) +
        std::chrono::duration_cast<WallTime::duration>(std::chrono::nanoseconds(updated.nanos()))};
    out.actor = kActor;
    out.key = out.after.key();
    if (out.key != ResourceKey{object.kind(), object.tenant(), object.name()})
      return Error(Code::kDataLoss,
                   fmt::format("{}/{}: the archive has another resource in its place",
                               object.kind(), object.name()));
    return out;
  }

  // Whole revisions only: the log takes none twice.
  Status flush_before(Revision next) {
    if (changes_.size() + rows_.size() < kRows || next == revision_) return {};
    return flush();
  }
  Status flush() {
    RETURN_IF_ERROR(log_.append(changes_, rows_));
    changes_.clear();
    rows_.clear();
    return {};
  }

  Log& log_;
  const pb::ArchiveHeader& header_;
  std::vector<Change> changes_;
  std::vector<AuditRow> rows_;
  Revision revision_ = 0;
};

Status take_file(const fs::path& folder, const pb::ArchiveFile& file) {
  if (!is_plain_name(file.name()))
    return Error(Code::kDataLoss, fmt::format("the archive has a file named \"{}\"", file.name()));
  return write_file(folder / file.name(), file.content(),
                    static_cast<unsigned>(file.mode()) & 0644U);
}

Result<Restored> fill(ArchiveReader& reader, const RestoreRequest& request, const fs::path& folder,
                      const std::function<void(Revision, Revision)>& progress) {
  ASSIGN_OR_RETURN(const pb::ArchiveHeader header, reader.header());
  ASSIGN_OR_RETURN(const auto log, open_log(folder, request.store, {.gaps = true}));
  ASSIGN_OR_RETURN(const Snapshot present, log->load());
  if (present.revision() != 0)
    return Error(
        Code::kFailedPrecondition,
        fmt::format("the database holds a fleet already, at revision {}: name another one, "
                    "or, if it may go, take it away with DROP SCHEMA frameworks CASCADE",
                    present.revision()));
  LogFiller filler(*log, header);
  int64_t records = 0;
  while (true) {
    ASSIGN_OR_RETURN(const auto record, reader.next());
    if (!record) break;
    if (record->has_file()) {
      RETURN_IF_ERROR(take_file(folder, record->file()));
    } else {
      RETURN_IF_ERROR(filler.take(*record));
      if (++records % 10'000 == 0)
        progress(revision_of(reader.audit().head().position), header.revision());
    }
  }
  if (!reader.audit_problem().empty() && !request.accept_broken_audit)
    return Error(
        Code::kDataLoss,
        fmt::format("the audit log in the archive is not as it was written: {}: to restore "
                    "it as it is, give --accept-broken-audit",
                    reader.audit_problem()));
  RETURN_IF_ERROR(filler.end());
  const pb::ArchiveEnd& counts = reader.counts();
  return Restored{header.revision(), counts.files(), counts.objects(), counts.audit_rows()};
}

// As a server would find it.
Status check(const fs::path& folder, const std::string& store, const Restored& restored) {
  ASSIGN_OR_RETURN(const auto log, open_log(folder, store));
  ASSIGN_OR_RETURN(const Snapshot snapshot, log->load());
  int64_t objects = 0;
  for (const Kind& kind : all_kinds()) objects += static_cast<int64_t>(snapshot.count(kind));
  if (snapshot.revision() != restored.revision || objects != restored.objects)
    return Error(
        Code::kInternal,
        fmt::format("what was restored has {} resources at revision {}, the archive has {} "
                    "at {}",
                    objects, snapshot.revision(), restored.objects, restored.revision));
  return {};
}

}  // namespace

Result<Restored> restore(const RestoreRequest& request,
                         const std::function<void(Revision, Revision)>& progress) {
  fs::path state = request.state.lexically_normal();
  if (!state.has_filename()) state = state.parent_path();  // "folder/"
  RETURN_IF_ERROR(check_empty(state));
  ASSIGN_OR_RETURN(const auto archive, ArchiveFile::open(request.archive, request.passphrase));
  Workplace place;
  RETURN_IF_ERROR(prepare(state, place));
  ASSIGN_OR_RETURN(const Restored restored,
                   fill(archive->reader(), request, place.folder, progress));
  RETURN_IF_ERROR(check(place.folder, request.store, restored));
  RETURN_IF_ERROR(sync_folder(place.folder));
  // Takes the place of an empty folder; fails when something was put there meanwhile.
  if (rename(place.folder.c_str(), state.c_str()) != 0)
    return errno_error(fmt::format("rename {} to {}", place.folder.string(), state.string()));
  const fs::path parent = state.parent_path();
  RETURN_IF_ERROR(sync_folder(parent.empty() ? "." : parent));
  return restored;
}

}  // namespace frameworks
