// A log in memory, and one that fails on demand.
//
// FakeDisk outlives the logs on it, as a file does. Passes the same contract suite as the real
// ones.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/locked.h"
#include "store/log.h"

namespace frameworks {

struct FakeDisk {
  struct Content {
    Snapshot objects;  // as of the newest forgotten revision or later
    std::vector<Change> changes;
    Revision forgotten = 0;
  };
  Locked<Content> content;
};

class FakeLog final : public Log {
 public:
  explicit FakeLog(std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>())
      : disk_(std::move(disk)) {}

  Result<Snapshot> load() override {
    return disk_->content.with([](const FakeDisk::Content& content) {
      Snapshot snapshot = content.objects;
      replay(content.changes, snapshot);
      return snapshot;
    });
  }

  Status append(std::span<const Change> changes) override {
    return disk_->content.with([&](FakeDisk::Content& content) -> Status {
      const Revision newest = newest_of(content);
      Revision revision = newest;
      for (const Change& change : changes) {
        if (change.revision < revision || change.revision == newest)
          return Error(Code::kFailedPrecondition,
                       fmt::format("revision {} does not follow {}", change.revision, revision));
        revision = change.revision;
      }
      for (const Change& change : changes) {
        content.changes.push_back(change);
        content.changes.back().before = Resource();
      }
      return {};
    });
  }

  Result<std::vector<Change>> read(Revision after, size_t limit) override {
    return disk_->content.with(
        [&](const FakeDisk::Content& content) -> Result<std::vector<Change>> {
          if (after < content.forgotten)
            return Error(Code::kOutOfRange,
                         fmt::format("changes up to revision {} are forgotten", content.forgotten));
          std::vector<Change> out;
          size_t revisions = 0;
          for (const Change& change : content.changes) {
            if (change.revision <= after) continue;
            if (out.empty() || out.back().revision != change.revision) ++revisions;
            if (revisions > limit) break;
            out.push_back(change);
          }
          return out;
        });
  }

  Status compact(Revision upto) override {
    return disk_->content.with([&](FakeDisk::Content& content) -> Status {
      const Revision limit = std::min(upto, newest_of(content));
      replay(content.changes, content.objects);
      content.forgotten = std::max(content.forgotten, limit);
      std::erase_if(content.changes,
                    [&](const Change& change) { return change.revision <= content.forgotten; });
      return {};
    });
  }

 private:
  static Revision newest_of(const FakeDisk::Content& content) {
    return content.changes.empty() ? content.objects.revision() : content.changes.back().revision;
  }
  static void replay(const std::vector<Change>& changes, Snapshot& snapshot) {
    const Revision from = snapshot.revision();
    for (const Change& change : changes) {
      if (change.revision <= from) continue;
      if (change.after) {
        snapshot.put(change.after);
      } else {
        snapshot.remove(change.key);
      }
      snapshot.set_revision(change.revision, change.time);
    }
  }

  std::shared_ptr<FakeDisk> disk_;
};

// Another log that fails when told. Threadsafe where Log is; the faults are set by any thread.
class FaultyLog final : public Log {
 public:
  enum class Fault {
    kNone,
    kBeforeAppend,  // nothing is written, as on a full disk
    kAfterAppend,   // all is written and the caller hears of an error, as with a lost connection
    kEverything,    // reads fail too
  };
  struct Faults {
    Locked<Fault> now{Fault::kNone};
    void set(Fault fault) {
      now.with([&](Fault& f) { f = fault; });
    }
    Fault get() {
      return now.with([](Fault& f) { return f; });
    }
  };

  FaultyLog(std::unique_ptr<Log> inner, std::shared_ptr<Faults> faults)
      : inner_(std::move(inner)), faults_(std::move(faults)) {}

  Result<Snapshot> load() override { return inner_->load(); }
  Status append(std::span<const Change> changes) override {
    const Fault fault = faults_->get();
    if (fault == Fault::kBeforeAppend || fault == Fault::kEverything) return full();
    RETURN_IF_ERROR(inner_->append(changes));
    if (fault == Fault::kAfterAppend)
      return Error(Code::kUnavailable, "the connection was lost in mid-commit");
    return {};
  }
  Result<std::vector<Change>> read(Revision after, size_t limit) override {
    if (faults_->get() == Fault::kEverything) return full();
    return inner_->read(after, limit);
  }
  Status compact(Revision upto) override {
    if (faults_->get() == Fault::kEverything) return full();
    return inner_->compact(upto);
  }

 private:
  static Error full() { return Error(Code::kResourceExhausted, "the disk is full"); }

  std::unique_ptr<Log> inner_;
  std::shared_ptr<Faults> faults_;
};

}  // namespace frameworks
