// An archive back to a state folder that a server can be started on.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "model/snapshot.h"

namespace frameworks {

struct RestoreRequest {
  std::filesystem::path archive;
  // Of a sealed archive.
  std::optional<std::string> passphrase;
  // Must not be there, or be empty.
  std::filesystem::path state;
  // The database that the fleet goes into, which must not hold one; empty: a file in `state`.
  std::string store{};
  // Take an archive whose audit log was no longer as it was written when the copy was made.
  bool accept_broken_audit = false;
};

struct Restored {
  Revision revision = 0;
  int64_t files = 0;
  int64_t objects = 0;
  int64_t audit_rows = 0;
};

// Fills STATE.restoring, reads it again, and renames it to STATE at the very end: an interrupted
// restore leaves nothing at STATE, and the next one clears away what it began. What it put into a
// database stays there, and is refused by the next: nothing that is not ours is ever taken away. Needs no memory that
// grows with the archive, but for the check at the end, which loads the fleet as a server does.
// `progress`: how many of how many revisions are done.
Result<Restored> restore(const RestoreRequest& request,
                         const std::function<void(Revision, Revision)>& progress);

// `quartermaster restore …`; the words after "restore". Gives the exit code.
int restore_main(int argc, char** argv);

}  // namespace frameworks
