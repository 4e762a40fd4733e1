// What every log must do. To run it, instantiate LogContract with a type that has
//
//   std::unique_ptr<Log> open();   the log, again after it was closed: what was written is there
//
// and is made anew for each test. It may have `static bool is_here()`: false skips the tests.
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
inline std::string text_of(const std::vector<Change>& changes) {
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
    if constexpr (requires { Place::is_here(); })
      if (!Place::is_here()) GTEST_SKIP() << "this log cannot be made here";
    open();
  }
  void append(const std::vector<Change>& changes) {
    const Status status = log_->append(changes);
    ASSERT_TRUE(status) << status.error().text();
  }
  std::string read(Revision after, size_t limit) {
    const auto changes = log_->read(after, limit);
    return changes ? text_of(*changes) : std::string(code_name(changes.error().code()));
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
    const Status again = this->log_->append(std::vector{tenant_change(revision, "a", "pro")});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  }
  const Status backwards =
      this->log_->append(std::vector{tenant_change(7, "b", "pro"), tenant_change(6, "c", "pro")});
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

REGISTER_TYPED_TEST_SUITE_P(LogContract, ANewLogIsTheEmptyFleetAtRevisionZero,
                            WhatWasAppendedIsThereAfterOpeningAgain,
                            ChangesAreReadInOrderByWholeRevisions, AReadChangeSaysWhoAndWhenAndWhat,
                            RevisionsThatDoNotAscendAreRefusedAndNothingIsWritten,
                            CompactionForgetsOldChangesAndKeepsTheFleet,
                            CompactionOfEverythingAndMoreKeepsRevisionAndTime,
                            CompactionOfNothingChangesNothing,
                            ManyChangesOfOneTransactionKeepTheirOrder,
                            AppendsReadsAndCompactionsGoOnBesideEachOther);

}  // namespace frameworks
