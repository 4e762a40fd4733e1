// What every log must do. To run it, instantiate LogContract with a type that has
//
//   std::unique_ptr<Log> open();   the log, again after it was closed: what was written is there
//
// and is made anew for each test. It may have `static std::string why_not()`: what it gives, unless
// it is empty, is the reason to skip the tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "frameworks/v1/tenant.pb.h"
#include "model/registry.h"
#include "store/log.h"

namespace frameworks {

// A tenant as a change of `revision`; `plan` empty: it is deleted.
inline Change tenant_change(Revision revision, const std::string& name, const std::string& plan) {
  Change change;
  change.revision = revision;
  change.time = WallTime{std::chrono::seconds(1'700'000'000 + revision)};
  change.actor = "account/test";
  change.key = {"Tenant", "", name};
  if (!plan.empty()) {
    pb::Tenant tenant;
    tenant.mutable_metadata()->set_name(name);
    tenant.mutable_metadata()->set_revision(revision);
    tenant.mutable_spec()->set_plan(plan);
    change.after = Resource::of(tenant);
  }
  return change;
}

// "3:a=pro 4:a deleted": what changes say, for comparison.
inline std::string text_of(std::span<const Change> changes) {
  std::string out;
  for (const Change& change : changes) {
    out += (out.empty() ? "" : " ") + std::to_string(change.revision) + ":" + change.key.name;
    out += change.after ? "=" + change.after.as<pb::Tenant>().spec().plan() : " deleted";
  }
  return out;
}

// "7: a=pro b=free": a snapshot's tenants.
inline std::string text_of(const Snapshot& snapshot) {
  std::string out = std::to_string(snapshot.revision()) + ":";
  for (const auto& tenant : snapshot.list<pb::Tenant>())
    out += " " + tenant->metadata().name() + "=" + tenant->spec().plan();
  return out;
}

// Rows as a store would chain them, from the changes themselves.
inline std::vector<AuditRow> audit_rows(const std::vector<Change>& changes) {
  std::vector<AuditRow> out;
  int64_t position = 0;
  for (const Change& change : changes) {
    position = std::max(position + 1, first_position(change.revision));
    out.push_back({position, change.key.name + std::string("\0\xff", 2),
                   std::string(31, 'h') + static_cast<char>(change.revision)});
  }
  return out;
}

// "3.0:a 4.0:- 4.1:b": revision, place and name of audit rows; an anchor has none.
inline std::string text_of(const std::vector<AuditRow>& rows) {
  std::string out;
  for (const AuditRow& row : rows) {
    out += (out.empty() ? "" : " ") + std::to_string(revision_of(row.position)) + "." +
           std::to_string(place_of(row.position)) + ":";
    out += row.record.empty() ? "-" : row.record.substr(0, row.record.size() - 2);
  }
  return out;
}

template <typename Place>
class LogContract : public testing::Test {
 protected:
  // Opens the log again.
  void open() {
    log_.reset();
    log_ = place_.open();
    ASSERT_NE(log_, nullptr);
    const Result<Snapshot> loaded = log_->load();
    ASSERT_TRUE(loaded) << loaded.error().text();
    loaded_ = *loaded;
  }
  void SetUp() override {
    if constexpr (requires { Place::why_not(); })
      if (const std::string reason = Place::why_not(); !reason.empty()) GTEST_SKIP() << reason;
    open();
  }
  void append(const std::vector<Change>& changes) {
    const Status status = log_->append(changes, audit_rows(changes));
    ASSERT_TRUE(status) << status.error().text();
  }
  std::string read(Revision after, size_t limit) {
    const auto changes = log_->read(after, limit);
    return changes ? text_of(*changes) : std::string(code_name(changes.error().code()));
  }

  std::string audit(const AuditRange& range, size_t limit) {
    const auto rows = log_->read_audit(range, limit);
    return rows ? text_of(*rows) : rows.error().text();
  }

  Place place_;
  std::unique_ptr<Log> log_;
  Snapshot loaded_;
};

TYPED_TEST_SUITE_P(LogContract);

TYPED_TEST_P(LogContract, ANewLogIsTheEmptyFleetAtRevisionZero) {
  EXPECT_EQ(text_of(this->loaded_), "0:");
  EXPECT_EQ(this->read(0, 10), "");
}

TYPED_TEST_P(LogContract, WhatWasAppendedIsThereAfterOpeningAgain) {
  this->append({tenant_change(1, "a", "free"), tenant_change(1, "b", "free")});
  this->append({tenant_change(2, "a", "pro"), tenant_change(3, "b", "")});
  this->open();
  EXPECT_EQ(text_of(this->loaded_), "3: a=pro");
  EXPECT_EQ(this->loaded_.time(), tenant_change(3, "b", "").time);
}

TYPED_TEST_P(LogContract, ChangesAreReadInOrderByWholeRevisions) {
  this->append({tenant_change(1, "a", "free"), tenant_change(1, "b", "free")});
  this->append({tenant_change(2, "c", "pro"), tenant_change(3, "a", "")});
  EXPECT_EQ(this->read(0, 10), "1:a=free 1:b=free 2:c=pro 3:a deleted");
  EXPECT_EQ(this->read(0, 1), "1:a=free 1:b=free");
  EXPECT_EQ(this->read(1, 1), "2:c=pro");
  EXPECT_EQ(this->read(3, 1), "");
}

TYPED_TEST_P(LogContract, AReadChangeSaysWhoAndWhenAndWhat) {
  const Change written = tenant_change(1, "a", "free");
  this->append({written});
  const auto changes = this->log_->read(0, 1);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 1u);
  const Change& read = changes->front();
  EXPECT_EQ(read.actor.name, written.actor.name);
  EXPECT_EQ(read.time, written.time);
  EXPECT_EQ(read.key, written.key);
  EXPECT_FALSE(read.before);
  EXPECT_EQ(read.after.message().SerializeAsString(), written.after.message().SerializeAsString());
}

TYPED_TEST_P(LogContract, RevisionsThatDoNotAscendAreRefusedAndNothingIsWritten) {
  for (Revision r = 1; r <= 5; ++r) this->append({tenant_change(r, "a", "free")});
  for (const Revision revision : {Revision{4}, Revision{5}}) {
    const Status again = this->log_->append(std::vector{tenant_change(revision, "a", "pro")}, {});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  }
  const std::vector<Change> changes = {tenant_change(7, "b", "pro"), tenant_change(6, "c", "pro")};
  const Status backwards = this->log_->append(changes, {});
  ASSERT_FALSE(backwards);
  EXPECT_EQ(backwards.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(this->read(4, 10), "5:a=free");
  this->append({tenant_change(6, "a", "pro")});
  this->open();
  EXPECT_EQ(text_of(this->loaded_), "6: a=pro");
}

TYPED_TEST_P(LogContract, CompactionForgetsOldChangesAndKeepsTheFleet) {
  for (Revision r = 1; r <= 10; ++r)
    this->append({tenant_change(r, r % 2 == 0 ? "even" : "odd", "p" + std::to_string(r))});
  this->append({tenant_change(11, "odd", "")});
  ASSERT_TRUE(this->log_->compact(8));
  EXPECT_EQ(this->read(7, 10), "out_of_range");
  EXPECT_EQ(this->read(8, 10), "9:odd=p9 10:even=p10 11:odd deleted");
  this->open();
  EXPECT_EQ(text_of(this->loaded_), "11: even=p10");
  EXPECT_EQ(this->read(7, 10), "out_of_range");
  this->append({tenant_change(12, "even", "last")});
  this->open();
  EXPECT_EQ(text_of(this->loaded_), "12: even=last");
}

TYPED_TEST_P(LogContract, CompactionForgetsAPartOfWhatWasAppendedAtOnce) {
  this->append({tenant_change(1, "a", "p1"), tenant_change(2, "b", "p2"), tenant_change(3, "a", ""),
                tenant_change(4, "c", "p4")});
  ASSERT_TRUE(this->log_->compact(2));
  EXPECT_EQ(this->read(1, 10), "out_of_range");
  EXPECT_EQ(this->read(2, 10), "3:a deleted 4:c=p4");
  this->open();
  EXPECT_EQ(text_of(this->loaded_), "4: b=p2 c=p4");
  EXPECT_EQ(this->read(3, 10), "4:c=p4");
}

TYPED_TEST_P(LogContract, CompactionOfEverythingAndMoreKeepsRevisionAndTime) {
  this->append({tenant_change(1, "a", "free"), tenant_change(2, "b", "pro")});
  ASSERT_TRUE(this->log_->compact(1'000));
  EXPECT_EQ(this->read(2, 10), "");
  this->open();
  EXPECT_EQ(text_of(this->loaded_), "2: a=free b=pro");
  EXPECT_EQ(this->loaded_.time(), tenant_change(2, "b", "pro").time);
  ASSERT_TRUE(this->log_->compact(1'000));
  this->append({tenant_change(3, "a", "")});
  EXPECT_EQ(this->read(2, 10), "3:a deleted");
}

TYPED_TEST_P(LogContract, CompactionOfNothingChangesNothing) {
  ASSERT_TRUE(this->log_->compact(0));
  this->append({tenant_change(1, "a", "free")});
  ASSERT_TRUE(this->log_->compact(-5));
  EXPECT_EQ(this->read(0, 10), "1:a=free");
}

TYPED_TEST_P(LogContract, ManyChangesOfOneTransactionKeepTheirOrder) {
  std::vector<Change> changes;
  std::string expected;
  for (int i = 0; i < 3'000; ++i) {
    changes.push_back(tenant_change(1, "t" + std::to_string(i), "p"));
    expected += (i == 0 ? "1:t" : " 1:t") + std::to_string(i) + "=p";
  }
  this->append(changes);
  EXPECT_EQ(this->read(0, 1), expected);
  ASSERT_TRUE(this->log_->compact(0));
  this->open();
  EXPECT_EQ(this->loaded_.template list<pb::Tenant>().size(), 3'000u);
}

TYPED_TEST_P(LogContract, AppendsReadsAndCompactionsGoOnBesideEachOther) {
  constexpr Revision kLast = 600;
  std::jthread compactor([this](const std::stop_token& stop) {
    for (Revision upto = 0; !stop.stop_requested(); upto = (upto + 7) % 100)
      if (const Status done = this->log_->compact(upto); !done)
        ADD_FAILURE() << done.error().text();
  });
  std::jthread reader([this] {
    for (Revision seen = 0; seen < kLast;) {
      const auto changes = this->log_->read(seen, 16);
      if (!changes) {
        ASSERT_EQ(changes.error().code(), Code::kOutOfRange) << changes.error().text();
        seen = 100;  // as far as the other thread forgets
        continue;
      }
      for (const Change& change : *changes) ASSERT_EQ(change.revision, ++seen);
    }
  });
  for (Revision r = 1; r <= kLast; ++r)
    this->append({tenant_change(r, "t" + std::to_string(r % 10), std::to_string(r))});
  reader.join();
  compactor.request_stop();
  compactor.join();
  this->open();
  EXPECT_EQ(text_of(this->loaded_),
            "600: t0=600 t1=591 t2=592 t3=593 t4=594 t5=595 t6=596 t7=597 t8=598 t9=599");
}

TYPED_TEST_P(LogContract, AuditRowsComeWithTheirChangesAndOutliveCompaction) {
  const std::vector<Change> first = {tenant_change(1, "a", "free"), tenant_change(1, "b", "free")};
  this->append(first);
  this->append({tenant_change(2, "c", "pro"), tenant_change(3, "a", "")});
  ASSERT_TRUE(this->log_->compact(3));
  this->open();
  EXPECT_EQ(this->audit({}, 10), "1.0:a 1.1:b 2.0:c 3.0:a");
  const auto rows = this->log_->read_audit({}, 2);
  ASSERT_TRUE(rows);
  EXPECT_EQ(*rows, audit_rows(first)) << "bytes as they were given";
}

TYPED_TEST_P(LogContract, AnAppendThatIsRefusedLeavesNoAuditRow) {
  const std::vector<Change> changes = {tenant_change(1, "a", "free")};
  this->append(changes);
  ASSERT_FALSE(this->log_->append(changes, audit_rows({tenant_change(2, "b", "pro")})));
  EXPECT_EQ(this->audit({}, 10), "1.0:a");
}

TYPED_TEST_P(LogContract, AuditRowsAreReadByRangeFromBothEnds) {
  for (Revision r = 1; r <= 5; ++r)
    this->append({tenant_change(r, "a", "p"), tenant_change(r, "b", "p")});
  EXPECT_EQ(this->audit({first_position(2) + 1, first_position(4)}, 10), "2.1:b 3.0:a 3.1:b");
  EXPECT_EQ(this->audit({first_position(2) + 1, first_position(4)}, 2), "2.1:b 3.0:a");
  EXPECT_EQ(this->audit({0, first_position(4), true}, 3), "3.1:b 3.0:a 2.1:b");
  EXPECT_EQ(this->audit({0, INT64_MAX, true}, 1), "5.1:b");
  EXPECT_EQ(this->audit({first_position(6)}, 10), "");
  EXPECT_EQ(this->audit({first_position(4), first_position(2)}, 10), "");
}

TYPED_TEST_P(LogContract, LargeAuditRowsAreReadAFewAtATime) {
  for (Revision r = 1; r <= 4; ++r) {
    const std::vector<Change> changes = {tenant_change(r, "a", "p")};
    std::vector<AuditRow> rows = audit_rows(changes);
    rows[0].record = std::string(kAuditBytes / 2, static_cast<char>(r));
    ASSERT_TRUE(this->log_->append(changes, rows));
  }
  const auto rows = this->log_->read_audit({}, 100);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->size(), 2u);
  EXPECT_EQ(this->log_->read_audit({rows->back().position + 1}, 100)->size(), 2u);
}

TYPED_TEST_P(LogContract, WhatIsCutOffTheAuditLogLeavesAnAnchor) {
  ASSERT_TRUE(this->log_->cut_audit(first_position(9)));
  EXPECT_EQ(this->audit({}, 10), "");
  for (Revision r = 1; r <= 5; ++r)
    this->append({tenant_change(r, "a", "p"), tenant_change(r, "b", "p")});
  const std::vector<AuditRow> before = *this->log_->read_audit({}, 100);
  ASSERT_TRUE(this->log_->cut_audit(first_position(4)));
  this->open();
  EXPECT_EQ(this->audit({}, 10), "3.1:- 4.0:a 4.1:b 5.0:a 5.1:b");
  EXPECT_EQ(this->log_->read_audit({}, 1)->front().hash, before[5].hash);
  for (const int64_t again : {first_position(4), first_position(2), int64_t{0}}) {
    ASSERT_TRUE(this->log_->cut_audit(again));
    EXPECT_EQ(this->audit({}, 2), "3.1:- 4.0:a") << again;
  }
  this->append({tenant_change(6, "c", "p")});
  ASSERT_TRUE(this->log_->cut_audit(first_position(6)));
  EXPECT_EQ(this->audit({}, 10), "5.1:- 6.0:c");
  EXPECT_EQ(this->read(4, 10), "5:a=p 5:b=p 6:c=p") << "changes are another matter";
}

TYPED_TEST_P(LogContract, ManyAuditRowsAreCutOffBesideAppends) {
  std::vector<Change> changes;
  for (int i = 0; i < 3'000; ++i) changes.push_back(tenant_change(1, "t" + std::to_string(i), "p"));
  this->append(changes);
  std::jthread cutter([this] {
    const Status done = this->log_->cut_audit(first_position(1) + 2'500);
    EXPECT_TRUE(done);
  });
  for (Revision r = 2; r <= 100; ++r) this->append({tenant_change(r, "a", "p")});
  cutter.join();
  const auto rows = this->log_->read_audit({}, 10'000);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 501u + 99u);
  EXPECT_EQ(text_of(std::vector<AuditRow>(rows->begin(), rows->begin() + 2)), "1.2499:- 1.2500:t2500");
}

REGISTER_TYPED_TEST_SUITE_P(LogContract, ANewLogIsTheEmptyFleetAtRevisionZero,
                            WhatWasAppendedIsThereAfterOpeningAgain,
                            ChangesAreReadInOrderByWholeRevisions, AReadChangeSaysWhoAndWhenAndWhat,
                            RevisionsThatDoNotAscendAreRefusedAndNothingIsWritten,
                            CompactionForgetsOldChangesAndKeepsTheFleet,
                            CompactionForgetsAPartOfWhatWasAppendedAtOnce,
                            CompactionOfEverythingAndMoreKeepsRevisionAndTime,
                            CompactionOfNothingChangesNothing,
                            ManyChangesOfOneTransactionKeepTheirOrder,
                            AppendsReadsAndCompactionsGoOnBesideEachOther,
                            AuditRowsComeWithTheirChangesAndOutliveCompaction,
                            AnAppendThatIsRefusedLeavesNoAuditRow,
                            AuditRowsAreReadByRangeFromBothEnds, LargeAuditRowsAreReadAFewAtATime,
                            WhatIsCutOffTheAuditLogLeavesAnAnchor,
                            ManyAuditRowsAreCutOffBesideAppends);

}  // namespace frameworks
