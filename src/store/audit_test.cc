// The audit log: what it says, that it never says a secret, and that no byte of it can change
// unnoticed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"
#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/audit_record.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/delta.h"
#include "model/registry.h"
#include "store/audit_verify.h"
#include "store/fake_log.h"
#include "store/log_contract.h"
#include "store/old_versions.h"
#include "store/sqlite.h"
#include "store/sqlite_batch.h"
#include "store/store.h"

namespace frameworks {
namespace {

Edit put_plan(const std::string& name, const std::string& plan) {
  return [=](Transaction& t) -> Status {
    pb::Tenant tenant;
    tenant.mutable_metadata()->set_name(name);
    tenant.mutable_spec()->set_plan(plan);
    t.put(tenant);
    return {};
  };
}

Edit drop(const std::string& name) {
  return [=](Transaction& t) -> Status {
    t.remove({"Tenant", "", name});
    return {};
  };
}

std::string text_of(const AuditRow& row) {
  pb::AuditRecord record;
  EXPECT_TRUE(record.ParseFromString(row.record));
  std::string out =
      fmt::format("{} {} from {}: {} {}/{}{}", revision_of(row.position), record.actor(),
                  record.source(), to_lower(pb::AuditAction_Name(record.action()).substr(13)),
                  record.kind(), record.tenant(), record.name());
  const auto changes = diff(*find_kind(record.kind()), record.before(), record.after());
  EXPECT_TRUE(changes) << changes.error().text();
  for (const pb::FieldChange& change : *changes)
    if (change.field() != "metadata.uid")
      out += fmt::format(", {} {}=>{}", change.field(), change.before(), change.after());
  return out;
}

class AuditTest : public testing::Test {
 protected:
  void SetUp() override { open({}); }
  void open(Store::Options options) {
    store_.reset();
    auto log = open_sqlite_log(path());
    ASSERT_TRUE(log) << log.error().text();
    auto store = Store::open(*std::move(log), clock_, options);
    ASSERT_TRUE(store) << store.error().text();
    store_ = *std::move(store);
  }
  [[nodiscard]] std::string path() const { return directory_.path() / "fleet.db"; }
  void write(const Edit& edit) {
    const auto done = store_->write({"account/ops", "grpc 10.0.0.7"}, edit);
    ASSERT_TRUE(done) << done.error().text();
  }
  std::vector<AuditRow> rows() {
    auto rows = store_->read_audit({}, 10'000);
    EXPECT_TRUE(rows) << rows.error().text();
    return rows ? *std::move(rows) : std::vector<AuditRow>();
  }
  AuditVerdict verify(std::map<Revision, std::string> expected = {}) {
    const auto verdict = verify_audit(
        [this](const AuditRange& range, size_t limit) { return store_->read_audit(range, limit); },
        store_->revision(), std::move(expected));
    EXPECT_TRUE(verdict) << verdict.error().text();
    return verdict ? *verdict : AuditVerdict{};
  }
  // Behind the server's back.
  Status tamper(const std::string& sql) { return Sqlite::open(path())->execute(sql.c_str()); }
  void tamper(const std::vector<AuditRow>& rows) {
    std::string sql = "BEGIN; DELETE FROM audit;";
    for (const AuditRow& row : rows) {
      std::string entries;
      append_entry(entries, row);
      sql +=
          fmt::format("INSERT INTO audit VALUES ({}, x'{}');", row.position, hex_encode(entries));
    }
    ASSERT_TRUE(tamper(sql + "COMMIT"));
  }
  void five_writes() {
    write(put_plan("acme", "free"));
    write(put_plan("globex", "free"));
    write(put_plan("acme", "pro"));
    write([](Transaction& t) -> Status {
      RETURN_IF_ERROR(put_plan("acme", "max")(t));
      return put_plan("initech", "free")(t);
    });
    write(drop("globex"));
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  ManualClock clock_;
  std::unique_ptr<Store> store_;
};

TEST_F(AuditTest, SaysWhoFromWhereWhatBeforeAndAfter) {
  five_writes();
  std::vector<std::string> said;
  for (const AuditRow& row : rows()) said.push_back(text_of(row));
  EXPECT_EQ(said,
            (std::vector<std::string>{
                "1 account/ops from grpc 10.0.0.7: create Tenant/acme, spec.plan =>\"free\"",
                "2 account/ops from grpc 10.0.0.7: create Tenant/globex, spec.plan =>\"free\"",
                "3 account/ops from grpc 10.0.0.7: update Tenant/acme, spec.plan "
                "\"free\"=>\"pro\"",
                "4 account/ops from grpc 10.0.0.7: update Tenant/acme, spec.plan "
                "\"pro\"=>\"max\"",
                "4 account/ops from grpc 10.0.0.7: create Tenant/initech, spec.plan "
                "=>\"free\"",
                "5 account/ops from grpc 10.0.0.7: delete Tenant/globex, spec.plan "
                "\"free\"=>"}));
  const AuditVerdict verdict = verify();
  EXPECT_EQ(verdict.problem, "");
  EXPECT_EQ(verdict.start, 0);
  EXPECT_EQ(revision_of(verdict.head.position), 5);
  EXPECT_EQ(verdict.entries, 6);
}

TEST_F(AuditTest, GoesOnAfterARestartAndOutlivesCompaction) {
  five_writes();
  open({.window = 1, .retain = 0, .compact_every = 1});
  for (int i = 0; i < 20; ++i) write(put_plan("acme", std::to_string(i)));
  open({});
  write(put_plan("acme", "last"));
  const AuditVerdict verdict = verify();
  EXPECT_EQ(verdict.problem, "");
  EXPECT_EQ(verdict.entries, 27);
}

TEST_F(AuditTest, NeverHoldsASecretNorTheHashOfOne) {
  const auto put_secret = [](const std::string& value) -> Edit {
    return [=](Transaction& t) -> Status {
      pb::Secret secret;
      secret.mutable_metadata()->set_name("db");
      (*secret.mutable_spec()->mutable_data())["password"] = value;
      (*secret.mutable_spec()->mutable_data())["same"] = "s3cret-same";
      t.put(secret);
      pb::JoinToken token;
      token.mutable_metadata()->set_name("t1");
      token.mutable_spec()->set_secret_hash(sha256_hex(value));
      t.put(token);
      return {};
    };
  };
  write(put_secret("s3cret-one"));
  write(put_secret("s3cret-two"));
  write([](Transaction& t) -> Status {
    t.remove({"Secret", "", "db"});
    t.remove({"JoinToken", "", "t1"});
    return {};
  });
  std::string all;
  std::string said;
  for (const AuditRow& row : rows()) {
    all += row.record;
    said += text_of(row) + "\n";
  }
  EXPECT_EQ(all.find("s3cret"), std::string::npos);
  EXPECT_EQ(all.find(sha256_hex("s3cret-one")), std::string::npos);
  EXPECT_EQ(all.find(sha256_hex("s3cret-two")), std::string::npos);
  EXPECT_NE(said.find("2 account/ops from grpc 10.0.0.7: update Secret/db, spec.data.password "
                      "\"(secret)\"=>\"(secret)\"\n"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("update JoinToken/t1, spec.secretHash \"(secret)\"=>\"(secret)\"\n"),
            std::string::npos)
      << said;
}

TEST_F(AuditTest, StatusAloneIsMarkedAndALargeOneLeftOut) {
  const auto put_node = [](size_t bytes) -> Edit {
    return [=](Transaction& t) -> Status {
      pb::Node node;
      node.mutable_metadata()->set_name("core-1");
      node.mutable_status()->mutable_health()->set_reason(std::string(bytes, 'r'));
      t.put(node);
      return {};
    };
  };
  write(put_node(1));
  write(put_node(2));
  write(put_node(5'000));
  std::vector<pb::AuditRecord> records;
  for (const AuditRow& row : rows())
    ASSERT_TRUE(records.emplace_back().ParseFromString(row.record));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_FALSE(records[0].status_only());
  EXPECT_TRUE(records[1].status_only());
  EXPECT_FALSE(records[1].status_left_out());
  EXPECT_NE(records[1].after().find("rr"), std::string::npos);
  EXPECT_TRUE(records[2].status_only());
  EXPECT_TRUE(records[2].status_left_out());
  EXPECT_LT(rows()[2].record.size(), 150u);
}

TEST_F(AuditTest, AnyChangedByteIsFoundAndItsRevisionNamed) {
  five_writes();
  ASSERT_EQ(verify().problem, "");
  const std::vector<AuditRow> all = rows();
  int64_t tried = 0;
  for (size_t at = 0; at < all.size(); ++at) {
    const auto flip = [&](const char* what, std::string AuditRow::*bytes) {
      for (size_t i = 0; i < (all[at].*bytes).size(); ++i, ++tried) {
        std::vector<AuditRow> changed = all;
        char& byte = (changed[at].*bytes)[i];
        byte = static_cast<char>(byte ^ (1 << (i % 8)));
        tamper(changed);
        const std::string problem = verify().problem;
        ASSERT_NE(problem.find(fmt::format("revision {},", revision_of(all[at].position))),
                  std::string::npos)
            << what << " byte " << i << ": " << problem;
      }
    };
    flip("record", &AuditRow::record);
    flip("hash", &AuditRow::hash);
    for (int bit = 0; bit < 64; bit += 3, ++tried) {
      std::vector<AuditRow> changed = all;
      int64_t& position = changed[at].position;
      position = static_cast<int64_t>(static_cast<uint64_t>(position) ^ (1ULL << bit));
      if (std::count_if(all.begin(), all.end(),
                        [&](const AuditRow& row) { return row.position == position; }) > 0)
        continue;  // it is taken
      tamper(changed);
      ASSERT_NE(verify().problem, "") << "position " << all[at].position << " to " << position;
    }
  }
  EXPECT_GT(tried, 6 * (64 / 3 + 32));  // not one byte was passed over by mistake
  tamper(all);
  EXPECT_EQ(verify().problem, "");
}

TEST_F(AuditTest, AnyChangedByteOfARowOfTheTableIsFound) {
  five_writes();
  std::string entries;
  for (const AuditRow& row : rows()) append_entry(entries, row);
  const auto put = [&](const std::string& bytes) {
    ASSERT_TRUE(
        tamper(fmt::format("BEGIN; DELETE FROM audit; INSERT INTO audit VALUES ({}, x'{}');"
                           "COMMIT",
                           first_position(1), hex_encode(bytes))));
  };
  put(entries);
  ASSERT_EQ(verify().problem, "");
  for (size_t i = 0; i < entries.size(); ++i) {
    std::string changed = entries;
    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
    put(changed);
    ASSERT_NE(verify().problem, "") << "byte " << i;
    put(entries.substr(0, i));
    ASSERT_NE(verify().problem, "") << "cut off at " << i;
  }
}

TEST_F(AuditTest, MissingSwappedAndInsertedRowsAreFound) {
  five_writes();
  const std::vector<AuditRow> all = rows();
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<AuditRow> changed = all;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    tamper(changed);
    EXPECT_NE(verify().problem, "") << "without " << all[i].position;
  }
  std::vector<AuditRow> changed = all;
  std::swap(changed[1].record, changed[2].record);
  std::swap(changed[1].hash, changed[2].hash);
  tamper(changed);
  EXPECT_NE(verify().problem.find("revision 2,"), std::string::npos) << verify().problem;
  changed = all;
  changed.push_back(all[5]);
  ++changed.back().position;
  tamper(changed);
  EXPECT_NE(verify().problem, "");
  tamper(all);
  ASSERT_EQ(verify().problem, "");
  tamper(std::vector<AuditRow>());
  EXPECT_NE(verify().problem, "");
}

TEST_F(AuditTest, ACutOffEndIsFoundAlsoAfterTheServerWentOnFromThere) {
  five_writes();
  const std::string kept = verify().head.hash;
  store_.reset();
  ASSERT_TRUE(tamper("DELETE FROM audit WHERE position >= 5 << 20"));
  open({});
  EXPECT_NE(verify().problem.find("revision 5:"), std::string::npos) << verify().problem;
  write(put_plan("acme", "later"));
  EXPECT_NE(verify().problem.find("revision 6, entry 0: it does not follow revision 4"),
            std::string::npos)
      << verify().problem;
}

TEST_F(AuditTest, AChainWrittenAnewIsFoundByAHashKeptElsewhere) {
  five_writes();
  const std::vector<AuditRow> all = rows();
  const std::map<Revision, std::string> kept = {{4, all[4].hash}};
  EXPECT_EQ(verify(kept).problem, "");
  AuditHead head;
  std::vector<AuditRow> forged = all;
  for (AuditRow& row : forged) {
    pb::AuditRecord record;
    ASSERT_TRUE(record.ParseFromString(row.record));
    if (revision_of(row.position) == 3) record.set_actor("account/somebody-else");
    row.record = record.SerializeAsString();
    row.hash = audit_hash(head, row.position, row.record);
    head = {row.position, row.hash};
  }
  tamper(forged);
  EXPECT_EQ(verify().problem, "") << "by itself it looks whole";
  EXPECT_NE(verify(kept).problem.find("revision 4: the hash is"), std::string::npos);
  EXPECT_NE(verify({{9, all[4].hash}}).problem.find("revision 9:"), std::string::npos);
}

TEST_F(AuditTest, WhatIsOlderThanItShallBeKeptIsCutOffAndTheRestHolds) {
  five_writes();
  clock_.advance(std::chrono::hours(48));
  write(put_plan("acme", "now"));
  ASSERT_EQ(rows().size(), 7u);
  open({.audit_keep = std::chrono::hours(24)});
  for (int i = 0; i < 10'000 && rows().size() != 2; ++i)
    system_clock().sleep_for(std::chrono::milliseconds(2), {});
  ASSERT_EQ(rows().size(), 2u);
  EXPECT_TRUE(rows()[0].record.empty());
  const AuditVerdict verdict = verify();
  EXPECT_EQ(verdict.problem, "");
  EXPECT_EQ(verdict.start, 5);
  EXPECT_EQ(verdict.entries, 1);
  const std::vector<AuditRow> before = rows();
  std::vector<AuditRow> moved = before;
  moved[0].position -= 1 << kPlaceBits;
  std::vector<AuditRow> other = before;
  other[0].hash = std::string(32, '\0');
  for (const auto& wrong : {moved, other, std::vector<AuditRow>{before[1]}}) {
    tamper(wrong);
    EXPECT_NE(verify().problem, "");
    tamper(before);
    ASSERT_EQ(verify().problem, "");
  }
}

TEST(AuditMigration, AFileOfVersion1KeepsItsFleetAndBeginsItsAuditLogNow) {
  for (const bool compacted : {false, true}) {
    const TemporaryDirectory directory = *TemporaryDirectory::make();
    const std::string path = directory.path() / "fleet.db";
    const std::string tenant =
        hex_encode(tenant_change(7, "acme", "pro").after.message().SerializeAsString());
    const std::string write =
        compacted ? fmt::format(
                        "INSERT INTO objects VALUES ('Tenant', '', 'acme', x'{}');"
                        "UPDATE marks SET value = 7 WHERE name = 'objects_revision'",
                        tenant)
                  : fmt::format(
                        "INSERT INTO changes VALUES (7 << 20, 1700000000000000, "
                        "'account/ops', 'Tenant', '', 'acme', x'{}')",
                        tenant);
    ASSERT_TRUE(Sqlite::open(path)->execute((kVersion1 + write).c_str()));
    for (int time = 0; time < 2; ++time) {
      auto log = open_sqlite_log(path);
      ASSERT_TRUE(log) << log.error().text();
      EXPECT_EQ(*Sqlite::open(path)->number("PRAGMA user_version"), 3);
      auto store = Store::open(*std::move(log), system_clock(), {});
      ASSERT_TRUE(store) << store.error().text();
      EXPECT_EQ((*store)->revision(), 7 + time);
      ASSERT_TRUE((*store)->write("account/ops", put_plan("acme", std::to_string(time))));
      const auto verdict = verify_audit(
          [&](const AuditRange& range, size_t limit) { return (*store)->read_audit(range, limit); },
          (*store)->revision());
      ASSERT_TRUE(verdict);
      EXPECT_EQ(verdict->problem, "");
      EXPECT_EQ(verdict->start, 7);
      EXPECT_EQ(verdict->entries, time + 1);
    }
  }
}

TEST(AuditFailure, AnAppendOfUnknownFateIsInTheChainOnceOrNotAtAll) {
  for (const auto fault : {FaultyLog::Fault::kBeforeAppend, FaultyLog::Fault::kAfterAppend}) {
    const auto faults = std::make_shared<FaultyLog::Faults>();
    auto store = *Store::open(std::make_unique<FaultyLog>(std::make_unique<FakeLog>(), faults),
                              system_clock(), {});
    ASSERT_TRUE(store->write("account/ops", put_plan("acme", "free")));
    faults->set(fault);
    ASSERT_FALSE(store->write("account/ops", put_plan("acme", "pro")));
    faults->set(FaultyLog::Fault::kNone);
    ASSERT_TRUE(store->write("account/ops", put_plan("acme", "max")));
    const auto verdict = verify_audit(
        [&](const AuditRange& range, size_t limit) { return store->read_audit(range, limit); },
        store->revision());
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->problem, "");
    EXPECT_EQ(verdict->entries, fault == FaultyLog::Fault::kAfterAppend ? 3 : 2);
  }
}

}  // namespace
}  // namespace frameworks
