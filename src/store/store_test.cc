#include "store/store.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "base/file.h"
#include "frameworks/v1/node.pb.h"
#include "store/store_fixture.h"

namespace frameworks {
namespace {

TEST_F(StoreTest, DerivesOnceForAnEditThatAsksForIt) {
  int derived = 0;
  open({}, [&](Transaction& transaction) -> Status {
    ++derived;
    transaction.put(tenant("derived", "pro"));
    return {};
  });
  write([](Transaction& transaction) -> Status {
    transaction.put(tenant("a", "pro"));
    RETURN_IF_ERROR(transaction.derive());
    EXPECT_NE(transaction.snapshot().find<pb::Tenant>("derived"), nullptr);
    return transaction.derive();
  });
  EXPECT_EQ(derived, 1);
  write([](Transaction& transaction) -> Status {
    transaction.put(tenant("b", "pro"));
    RETURN_IF_ERROR(transaction.derive());
    transaction.put(tenant("c", "pro"));
    return {};
  });
  EXPECT_EQ(derived, 3);
}

TEST_F(StoreTest, AWriteIsInTheSnapshotWhenItReturns) {
  const Committed done = write(put_tenant("a", "free"));
  EXPECT_EQ(done.revision, 1);
  EXPECT_EQ(text_of(done.changes), "1:a=free");
  EXPECT_EQ(text_of(*now()), "1: a=free");
  EXPECT_EQ(store_->revision(), 1);
}

TEST_F(StoreTest, TheStoreSetsIdentityGenerationAndTimes) {
  write([](Transaction& t) -> Status {
    pb::Tenant forged = tenant("a", "free");
    forged.mutable_metadata()->set_generation(77);
    forged.mutable_metadata()->set_revision(77);
    forged.mutable_metadata()->mutable_delete_time()->set_seconds(1);
    t.put(forged);
    return {};
  });
  const pb::Metadata first = find("a")->metadata();
  EXPECT_EQ(first.uid().size(), 36u);
  EXPECT_EQ(first.generation(), 1);
  EXPECT_EQ(first.revision(), 1);
  EXPECT_FALSE(first.has_delete_time());
  EXPECT_EQ(first.create_time().seconds(), 1'700'000'000);

  clock_.advance(std::chrono::seconds(5));
  write(put_tenant("a", "pro"));
  const pb::Metadata second = find("a")->metadata();
  EXPECT_EQ(second.uid(), first.uid());
  EXPECT_EQ(second.generation(), 2);
  EXPECT_EQ(second.revision(), 2);
  EXPECT_EQ(second.create_time().seconds(), 1'700'000'000);
  EXPECT_EQ(second.update_time().seconds(), 1'700'000'005);
}

TEST_F(StoreTest, ANewResourceMayBringItsUidAndKeepsItForLife) {
  const auto put_with_uid = [](const char* uid, const char* plan) {
    return [=](Transaction& t) -> Status {
      pb::Tenant out = tenant("a", plan);
      out.mutable_metadata()->set_uid(uid);
      t.put(out);
      return {};
    };
  };
  write(put_with_uid("mine", "free"));
  EXPECT_EQ(find("a")->metadata().uid(), "mine");
  write(put_with_uid("another", "pro"));
  EXPECT_EQ(find("a")->metadata().uid(), "mine");
  EXPECT_EQ(find("a")->spec().plan(), "pro");
  write(remove_tenant("a"));
  write(put_tenant("a", "free"));
  EXPECT_EQ(find("a")->metadata().uid().size(), 36u);
}

TEST_F(StoreTest, OnlyChangesOfSpecCountTheGenerationUp) {
  write(put_tenant("a", "free"));
  write([](Transaction& t) -> Status {
    pb::Tenant changed = *t.snapshot().find<pb::Tenant>("a");
    changed.mutable_status()->set_state(pb::TENANT_STATE_ACTIVE);
    (*changed.mutable_metadata()->mutable_labels())["tier"] = "gold";
    t.put(changed);
    return {};
  });
  EXPECT_EQ(find("a")->metadata().generation(), 1);
  EXPECT_EQ(find("a")->metadata().revision(), 2);
}

TEST_F(StoreTest, AWriteThatChangesNothingMakesNoRevision) {
  const Edit with_maps = [](Transaction& t) -> Status {
    pb::Tenant made = tenant("a", "free");
    for (int i = 0; i < 50; ++i) {
      (*made.mutable_metadata()->mutable_labels())["l" + std::to_string(i)] = "x";
      (*made.mutable_spec()->mutable_features())["f" + std::to_string(i)].set_bool_value(true);
    }
    t.put(made);
    return {};
  };
  write(with_maps);
  const SnapshotPtr before = now();
  clock_.advance(std::chrono::seconds(5));
  const Committed again = write(with_maps);
  EXPECT_EQ(again.revision, 1);
  EXPECT_TRUE(again.changes.empty());
  EXPECT_EQ(find("a")->metadata().update_time().seconds(), 1'700'000'000);
}

// A caller may send fields that this program does not know: they lie behind all others, in no
// order, and may have the number of a known one with another type.
TEST_F(StoreTest, FieldsThatAreNotKnownStayAndHurtNothing) {
  const std::string odd_bytes[] = {
      std::string("\x08\x05", 2),               // 1, a number
      std::string("\x30\x05\x28\x07", 4),       // 6, as it is; 5, a number
      std::string("\xa2\x06\x01x\x48\x01", 6),  // 100, then 9, a number
      std::string("\x13\x14", 2),               // 2, a group
      std::string("\x3a\x01x\x52\x00", 5),      // 7, bytes; 10, which is the store's
  };
  int number = 0;
  for (const std::string& odd : odd_bytes) {
    const std::string name = "odd-" + std::to_string(number++);
    const auto put = [&](const std::string& plan) {
      pb::Tenant out = tenant(name, plan);
      std::string metadata = out.metadata().SerializeAsString() + odd;
      EXPECT_TRUE(out.mutable_metadata()->ParseFromString(metadata));
      return Edit([out](Transaction& t) -> Status {
        t.put(out);
        return {};
      });
    };
    const Revision made = write(put("free")).revision;
    EXPECT_EQ(write(put("free")).revision, made) << "the same again";
    EXPECT_EQ(write(put("pro")).revision, made + 1);
    const auto found = find(name);
    EXPECT_EQ(found->metadata().generation(), 2);
    EXPECT_EQ(found->metadata().uid().size(), 36u);
    EXPECT_FALSE(found->metadata().has_delete_time());
    EXPECT_EQ(found->spec().plan(), "pro");
    write([&](Transaction& t) -> Status {
      pb::Tenant once = *found;
      once.mutable_spec()->set_plan("free");
      t.put(once);
      t.put(*found);
      return {};
    });
    EXPECT_EQ(now()->revision(), made + 1) << "there and back";
  }
}

TEST_F(StoreTest, ThereAndBackWithinOneTransactionIsNoChange) {
  write(put_tenant("a", "free"));
  const Committed done = write([](Transaction& t) -> Status {
    t.put(tenant("a", "pro"));
    t.put(tenant("b", "pro"));
    t.put(tenant("a", "free"));
    t.remove({"Tenant", "", "b"});
    return {};
  });
  EXPECT_EQ(done.revision, 1);
  EXPECT_EQ(text_of(*now()), "1: a=free");
  EXPECT_EQ(find("a")->metadata().revision(), 1);
}

TEST_F(StoreTest, TwoWritesToOneResourceInATransactionAreOneChange) {
  write(put_tenant("a", "free"));
  const Committed done = write([](Transaction& t) -> Status {
    t.put(tenant("a", "basic"));
    t.put(tenant("a", "pro"));
    EXPECT_EQ(t.changed().size(), 1u);
    return {};
  });
  EXPECT_EQ(text_of(done.changes), "2:a=pro");
  EXPECT_EQ(done.changes[0].before.as<pb::Tenant>().spec().plan(), "free");
  EXPECT_EQ(find("a")->metadata().generation(), 2);
}

TEST_F(StoreTest, ARefusedEditLeavesNothingBehind) {
  write(put_tenant("a", "free"));
  const Error error = refused([](Transaction& t) -> Status {
    t.put(tenant("a", "pro"));
    t.put(tenant("b", "pro"));
    t.remove({"Tenant", "", "a"});
    EXPECT_EQ(text_of(t.snapshot()), "1: b=pro");
    return Error(Code::kPermissionDenied, "no");
  });
  EXPECT_EQ(error.code(), Code::kPermissionDenied);
  EXPECT_EQ(text_of(*now()), "1: a=free");
  EXPECT_EQ(write(put_tenant("c", "free")).revision, 2);
  EXPECT_EQ(text_of(*now()), "2: a=free c=free");
}

TEST_F(StoreTest, AResourceMadeAgainIsAnotherOne) {
  write(put_tenant("a", "free"));
  const std::string uid = find("a")->metadata().uid();
  const Committed done = write([](Transaction& t) -> Status {
    t.remove({"tenants", "", "a"});
    t.put(tenant("a", "free"));
    return {};
  });
  ASSERT_EQ(done.changes.size(), 1u);
  EXPECT_EQ(done.changes[0].before.metadata().uid(), uid);
  EXPECT_NE(find("a")->metadata().uid(), uid);
  EXPECT_EQ(find("a")->metadata().generation(), 1);
}

TEST_F(StoreTest, AFinalizerHoldsADeletedResourceUntilItIsTakenAway) {
  const auto with_finalizers = [](const std::vector<std::string>& finalizers) -> Edit {
    return [=](Transaction& t) -> Status {
      pb::Tenant made = tenant("a", "free");
      for (const std::string& each : finalizers) made.mutable_metadata()->add_finalizers(each);
      t.put(made);
      return {};
    };
  };
  write(with_finalizers({"dns", "mesh"}));
  clock_.advance(std::chrono::seconds(9));
  EXPECT_EQ(text_of(write(remove_tenant("a")).changes), "2:a=free");
  EXPECT_EQ(find("a")->metadata().delete_time().seconds(), 1'700'000'009);
  EXPECT_EQ(write(remove_tenant("a")).revision, 2) << "asking twice is asking once";
  write(with_finalizers({"mesh"}));
  ASSERT_NE(find("a"), nullptr);
  EXPECT_TRUE(find("a")->metadata().has_delete_time()) << "a put does not take the deletion back";
  const Committed gone = write(with_finalizers({}));
  EXPECT_EQ(text_of(gone.changes), "4:a deleted");
  EXPECT_EQ(find("a"), nullptr);
}

TEST_F(StoreTest, WhatFollowsFromTheModelIsDerivedInTheSameTransaction) {
  // A made-up rule: every tenant has a node of its name.
  open({}, [](Transaction& t) -> Status {
    for (const ResourceKey& key : t.changed()) {
      if (key.kind != "Tenant") continue;
      pb::Node node;
      node.mutable_metadata()->set_name(key.name);
      if (t.snapshot().find(key) != nullptr) {
        t.put(node);
      } else {
        t.remove({"Node", "", key.name});
      }
    }
    return {};
  });
  const Committed done = write(put_tenant("a", "free"));
  EXPECT_EQ(done.revision, 1);
  EXPECT_EQ(done.changes.size(), 2u);
  EXPECT_NE(now()->find<pb::Node>("a"), nullptr);
  write(remove_tenant("a"));
  EXPECT_EQ(now()->find<pb::Node>("a"), nullptr);
}

TEST_F(StoreTest, AnErrorOfTheDerivationRefusesTheEdit) {
  open({}, [](Transaction& t) -> Status {
    if (t.snapshot().list<pb::Tenant>().size() > 1)
      return Error(Code::kInvalidArgument, "one is enough");
    return {};
  });
  write(put_tenant("a", "free"));
  EXPECT_EQ(refused(put_tenant("b", "free")).code(), Code::kInvalidArgument);
  EXPECT_EQ(text_of(*now()), "1: a=free");
}

TEST_F(StoreTest, ADryRunTellsWhatWouldChangeAndChangesNothing) {
  write(put_tenant("a", "free"));
  Snapshot after;
  const auto planned = store_->dry_run(
      [](Transaction& t) -> Status {
        t.put(tenant("b", "pro"));
        t.remove({"Tenant", "", "a"});
        return {};
      },
      &after);
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->revision, 1);
  EXPECT_EQ(text_of(planned->changes), "2:b=pro 2:a deleted");
  EXPECT_EQ(text_of(after), "2: b=pro");
  EXPECT_EQ(text_of(*now()), "1: a=free");
}

TEST_F(StoreTest, ASnapshotInHandStaysAsItWas) {
  write(put_tenant("a", "free"));
  const SnapshotPtr old = now();
  write(put_tenant("a", "pro"));
  write(put_tenant("b", "pro"));
  EXPECT_EQ(text_of(*old), "1: a=free");
  SnapshotReader reader(*store_);
  EXPECT_EQ(text_of(reader.current()), "3: a=pro b=pro");
  write(remove_tenant("a"));
  EXPECT_EQ(text_of(reader.current()), "4: b=pro");
}

TEST_F(StoreTest, TimeDoesNotGoBackWhenTheClockDoes) {
  clock_.advance(std::chrono::hours(1));
  write(put_tenant("a", "free"));
  const WallTime then = now()->time();
  ManualClock behind;
  store_.reset();
  auto store = Store::open(std::make_unique<FakeLog>(disk_), behind, {});
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->write("account/test", put_tenant("b", "free")));
  EXPECT_EQ((*store)->snapshot()->time(), then);
}

TEST_F(StoreTest, WhileTheDiskIsFullWritesAreRefusedReadsGoOnAndWritesReturn) {
  write(put_tenant("a", "free"));
  faults_->set(FaultyLog::Fault::kBeforeAppend);
  const Error error = refused(put_tenant("a", "pro"));
  EXPECT_EQ(error.code(), Code::kResourceExhausted);
  EXPECT_EQ(text_of(*now()), "1: a=free") << "the snapshot must not be ahead of the log";
  EXPECT_EQ(refused(put_tenant("b", "pro")).code(), Code::kResourceExhausted);
  faults_->set(FaultyLog::Fault::kNone);
  EXPECT_EQ(write(put_tenant("c", "pro")).revision, 2);
  EXPECT_EQ(text_of(*now()), "2: a=free c=pro");
  open({});
  EXPECT_EQ(text_of(*now()), "2: a=free c=pro");
}

TEST_F(StoreTest, AnAppendOfUnknownOutcomeIsLookedUpBeforeTheNextWrite) {
  write(put_tenant("a", "free"));
  auto watch = store_->subscribe(1, [] {});
  ASSERT_TRUE(watch);
  faults_->set(FaultyLog::Fault::kAfterAppend);
  EXPECT_EQ(refused(put_tenant("a", "pro")).code(), Code::kUnavailable);
  EXPECT_EQ(text_of(*now()), "1: a=free");
  faults_->set(FaultyLog::Fault::kEverything);
  EXPECT_EQ(refused(put_tenant("b", "free")).code(), Code::kResourceExhausted);
  faults_->set(FaultyLog::Fault::kNone);
  EXPECT_EQ(write(put_tenant("b", "free")).revision, 3);
  EXPECT_EQ(text_of(*now()), "3: a=pro b=free");
  const auto seen = (*watch)->next(100);
  ASSERT_TRUE(seen);
  EXPECT_EQ(text_of(*seen), "2:a=pro 3:b=free");
  EXPECT_EQ(seen->front().before.as<pb::Tenant>().spec().plan(), "free");
}

TEST_F(StoreTest, QueuedWritesFinishBeforeTheStoreIsGone) {
  std::atomic<int> done = 0;
  for (int i = 0; i < 500; ++i)
    store_->write_async("account/test", put_tenant("t" + std::to_string(i), "free"),
                        [&](const Result<Committed>& result) { done += result ? 1 : 0; });
  store_.reset();
  EXPECT_EQ(done, 500);
  open({});
  EXPECT_EQ(now()->list<pb::Tenant>().size(), 500u);
}

TEST_F(StoreTest, AFullQueueRefusesAtOnce) {
  open({.queue = 2});
  std::promise<void> entered;
  std::promise<void> leave;
  std::atomic<int> finished = 0;
  const auto count = [&](const Result<Committed>&) { ++finished; };
  store_->write_async(
      "account/test",
      [&](Transaction&) -> Status {
        entered.set_value();
        leave.get_future().wait();
        return {};
      },
      count);
  entered.get_future().wait();
  store_->write_async("account/test", put_tenant("a", "free"), count);
  store_->write_async("account/test", put_tenant("b", "free"), count);
  Code code{};
  store_->write_async("account/test", put_tenant("c", "free"),
                      [&](const Result<Committed>& result) { code = result.error().code(); });
  EXPECT_EQ(code, Code::kResourceExhausted);
  leave.set_value();
  store_.reset();
  EXPECT_EQ(finished, 3);
}

TEST_F(StoreTest, WritesThatWaitTogetherShareOneAppend) {
  std::promise<void> entered;
  std::promise<void> leave;
  store_->write_async(
      "account/test",
      [&](Transaction&) -> Status {
        entered.set_value();
        leave.get_future().wait();
        return {};
      },
      [](const Result<Committed>&) {});
  entered.get_future().wait();
  std::vector<Revision> revisions;
  for (int i = 0; i < 10; ++i)
    store_->write_async("account/test", put_tenant("t" + std::to_string(i), "free"),
                        [&](Result<Committed> result) {
                          revisions.push_back(result->revision);
                          // All ten are there when the first is told.
                          EXPECT_EQ(store_->revision(), 10);
                        });
  leave.set_value();
  write([](Transaction&) -> Status { return {}; });
  EXPECT_EQ(revisions, (std::vector<Revision>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

}  // namespace
}  // namespace frameworks
