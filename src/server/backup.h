// A copy of the fleet while it goes on: resources of one snapshot, the audit log up to its revision,
// the server's keys. Works on the store's interface only, whatever database is under it.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "store/archive.h"
#include "store/store.h"

namespace frameworks {

// Gives an archive's bytes piece by piece. Holds on to the snapshot, and to about 100 bytes for each
// resource.
class Backup {
 public:
  // Reads the keys. `state`: the server's state folder.
  static Result<std::unique_ptr<Backup>> begin(const Store& store,
                                               const std::filesystem::path& state, WallTime now);
  // 1 MiB at most; empty: that was all. kAborted: the audit log was cut off meanwhile; begin again.
  Result<std::string> next();
  [[nodiscard]] Revision revision() const { return snapshot_->revision(); }
  // All of these revisions has been given.
  [[nodiscard]] Revision given() const { return given_; }

 private:
  struct Object {
    Revision revision;
    const Kind* kind;
    std::string tenant;
    std::string name;
  };
  Backup(const Store& store, SnapshotPtr snapshot)
      : store_(store), snapshot_(std::move(snapshot)) {}
  Status fill();
  void list_objects();
  void add_objects(Revision upto, std::string& out);
  Status read_audit();

  const Store& store_;
  SnapshotPtr snapshot_;
  ArchiveWriter writer_;
  std::string pending_;
  std::vector<Object> objects_;
  size_t next_object_ = 0;
  std::vector<AuditRow> rows_;
  size_t next_row_ = 0;
  int64_t position_ = 0;
  Revision given_ = 0;
  bool audit_done_ = false;
  bool ended_ = false;
};

// Files of a state folder that an archive has: everything but the database, and what is of one
// process only.
bool is_kept_file(std::string_view name);

}  // namespace frameworks
