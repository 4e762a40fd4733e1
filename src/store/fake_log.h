// A log in memory, one that several stores share, and one that fails on demand.
//
// FakeDisk outlives the logs on it, as a file does. They pass the same contract suite as the real
// ones.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/locked.h"
#include "store/log.h"
#include "store/shared_log.h"

namespace frameworks {

struct FakeDisk {
  struct Content {
    Snapshot objects;  // as of the newest forgotten revision or later
    std::vector<Change> changes;
    Revision forgotten = 0;
    std::map<int64_t, AuditRow> audit;
  };
  Locked<Content> content;
  // Of the shared logs on it that are open.
  Locked<std::map<const void*, std::function<void()>>> followers;
  Locked<std::map<std::string, ServerBeat>> servers;
  Locked<std::map<std::string, std::string>> kept;
  std::mutex turn;  // held: nobody else appends
};

class FakeLog : public Log {
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

  Status append(std::span<const Change> changes, std::span<const AuditRow> audit) override {
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
        content.changes.back().unpack();
        content.changes.back().before = Resource();
      }
      for (const AuditRow& row : audit) content.audit[row.position] = row;
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

  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) override {
    return disk_->content.with([&](const FakeDisk::Content& content) {
      std::vector<AuditRow> out;
      size_t bytes = 0;
      const auto take = [&](const AuditRow& row) {
        out.push_back(row);
        bytes += row.record.size();
        return out.size() < limit && bytes < kAuditBytes;
      };
      auto from = content.audit.lower_bound(range.from);
      auto to = content.audit.lower_bound(range.to);
      if (limit == 0 || range.from >= range.to) return out;
      if (range.newest_first) {
        while (to != from && take((--to)->second)) continue;
      } else {
        while (from != to && take((from++)->second)) continue;
      }
      return out;
    });
  }

  Status cut_audit(int64_t position) override {
    return disk_->content.with([&](FakeDisk::Content& content) -> Status {
      auto end = content.audit.lower_bound(position);
      if (end == content.audit.begin()) return {};
      (--end)->second.record.clear();
      content.audit.erase(content.audit.begin(), end);
      return {};
    });
  }

 protected:
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

// Of several servers.
class FakeSharedLog final : public FakeLog, public SharedLog {
 public:
  using FakeLog::FakeLog;
  ~FakeSharedLog() override {
    disk_->followers.with([&](auto& followers) { followers.erase(this); });
  }

  Result<Snapshot> load() override {
    auto snapshot = FakeLog::load();
    own_ = snapshot->revision();
    return snapshot;
  }
  Status append(std::span<const Change> changes, std::span<const AuditRow> audit) override {
    (void)take_turn();
    Status done = FakeLog::append(changes, audit);
    end_turn();
    const Revision first = changes.front().revision;
    if (!done && first > own_ && first <= newest())
      return Error(Code::kAborted, "another server was first");
    if (!done) return done;
    own_ = changes.back().revision;
    disk_->followers.with([&](auto& followers) {
      for (const auto& [log, changed] : followers)
        if (log != this) changed();
    });
    return done;
  }
  SharedLog* shared() override { return this; }

  void follow(std::function<void()> changed) override {
    disk_->followers.with([&](auto& followers) { followers[this] = std::move(changed); });
  }
  Status take_turn() override {
    if (!turn_.owns_lock()) turn_ = std::unique_lock(disk_->turn);
    return {};
  }
  void end_turn() override {
    if (turn_.owns_lock()) turn_.unlock();
  }
  Status enter(const std::string& name, const std::string& incarnation) override {
    disk_->servers.with([&](auto& servers) {
      ServerBeat& beat = servers[name];
      beat = {name, incarnation, beat.beat + 1, ""};
    });
    return {};
  }
  Result<std::vector<ServerBeat>> beat(const std::string& name, const std::string& incarnation,
                                       const std::string& report) override {
    const bool is_own = disk_->servers.with([&](auto& servers) {
      const auto at = servers.find(name);
      if (at == servers.end() || at->second.incarnation != incarnation) return false;
      ++at->second.beat;
      at->second.report = report;
      return true;
    });
    if (!is_own) return Error(Code::kFailedPrecondition, "another server has entered as " + name);
    return beats();
  }
  Result<std::vector<ServerBeat>> beats() override {
    return disk_->servers.with([](const auto& servers) {
      std::vector<ServerBeat> out;
      for (const auto& [name, beat] : servers) out.push_back(beat);
      return out;
    });
  }
  Status leave(const std::string& name, const std::string& incarnation) override {
    disk_->servers.with([&](auto& servers) {
      const auto at = servers.find(name);
      if (at != servers.end() && at->second.incarnation == incarnation) servers.erase(at);
    });
    return {};
  }
  Result<std::string> keep(const std::string& name, const std::string& value) override {
    return disk_->kept.with(
        [&](auto& kept) { return kept.try_emplace(name, value).first->second; });
  }
  Result<std::string> kept(const std::string& name) override {
    return disk_->kept.with([&](auto& kept) {
      const auto at = kept.find(name);
      return at == kept.end() ? std::string() : at->second;
    });
  }

 private:
  std::unique_lock<std::mutex> turn_;  // the writer's
  Revision newest() {
    return disk_->content.with([](const FakeDisk::Content& content) { return newest_of(content); });
  }
  Revision own_ = 0;  // this server's newest
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
  Status append(std::span<const Change> changes, std::span<const AuditRow> audit) override {
    const Fault fault = faults_->get();
    if (fault == Fault::kBeforeAppend || fault == Fault::kEverything) return full();
    RETURN_IF_ERROR(inner_->append(changes, audit));
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
  SharedLog* shared() override { return inner_->shared(); }
  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) override {
    if (faults_->get() == Fault::kEverything) return full();
    return inner_->read_audit(range, limit);
  }
  Status cut_audit(int64_t position) override {
    if (faults_->get() == Fault::kEverything) return full();
    return inner_->cut_audit(position);
  }

 private:
  static Error full() { return Error(Code::kResourceExhausted, "the disk is full"); }

  std::unique_ptr<Log> inner_;
  std::shared_ptr<Faults> faults_;
};

}  // namespace frameworks
