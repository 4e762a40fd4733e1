// An operation's events in a file, one JSON line each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "frameworks/v1/operation.pb.h"
#include "model/kind.h"

namespace frameworks {

// The one writer.
class OperationJournal {
 public:
  // Creates the file, or continues it: a last line that a crash left torn is cut off.
  static Result<OperationJournal> open(const std::filesystem::path& path);
  // Sets the event's sequence. Readers see it at once; it is on disk after the next sync(). An
  // event that could not be written leaves nothing behind.
  Status append(pb::OperationEvent& event);
  Status sync();

 private:
  OperationJournal(Fd fd, std::string name, int64_t size, int64_t sequence)
      : fd_(std::move(fd)), name_(std::move(name)), size_(size), sequence_(sequence) {}

  Fd fd_;
  std::string name_;
  int64_t size_;
  int64_t sequence_;
};

// One of any number of readers, also while it is written.
class OperationJournalReader {
 public:
  // Events with a sequence above `after`.
  OperationJournalReader(std::filesystem::path path, int64_t after)
      : path_(std::move(path)), after_(after) {}
  // At most `limit` further events; fewer: there are no more now. A file that is not there is
  // empty.
  Result<std::vector<pb::OperationEvent>> next(size_t limit);

 private:
  Status fill();

  std::filesystem::path path_;
  int64_t after_;
  Fd fd_;
  int64_t offset_ = 0;
  std::string buffer_;  // read, not yet handed out
};

}  // namespace frameworks
