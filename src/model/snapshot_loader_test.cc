#include "model/snapshot_loader.h"

#include <gtest/gtest.h>

#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/tenant.pb.h"

namespace frameworks {
namespace {

pb::Grant grant(int number) {
  pb::Grant out;
  out.mutable_metadata()->set_name("g" + std::to_string(number));
  out.mutable_metadata()->set_tenant("t" + std::to_string(number % 100));
  out.mutable_spec()->set_cluster("c" + std::to_string(number % 7));
  return out;
}

Status add(SnapshotLoader& loader, const pb::Grant& grant) {
  return loader.add("Grant", grant.metadata().tenant(), grant.metadata().name(),
                    grant.SerializeAsString());
}

TEST(SnapshotLoader, BuildsWhatPuttingEachBuilds) {
  constexpr int kGrants = 10'000;
  SnapshotLoader loader;
  Snapshot wanted;
  for (int i = 0; i < kGrants; ++i) {
    ASSERT_TRUE(add(loader, grant(i)));
    wanted.put(Resource::of(grant(i)));
  }
  auto loaded = loader.finish();
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->count(kind_of<pb::Grant>()), kGrants);
  const auto names = [](const std::vector<std::shared_ptr<const pb::Grant>>& grants) {
    std::string out;
    for (const auto& each : grants)
      out += each->metadata().tenant() + "/" + each->metadata().name() + " ";
    return out;
  };
  EXPECT_EQ(names(loaded->list<pb::Grant>()), names(wanted.list<pb::Grant>()));
  for (const char* cluster : {"c0", "c6", "none"})
    EXPECT_EQ(names(loaded->find_by<pb::Grant>("cluster", cluster)),
              names(wanted.find_by<pb::Grant>("cluster", cluster)));
  loaded->put(Resource::of(grant(kGrants)));
  loaded->remove({"Grant", "t1", "g1"});
  EXPECT_EQ(loaded->find(kind_of<pb::Grant>(), "t1", "g1"), nullptr);
  EXPECT_NE(loaded->find(kind_of<pb::Grant>(), "t0", "g10000"), nullptr);
  EXPECT_EQ(loaded->find_by<pb::Grant>("tenant", "t1").size(), 99u);
}

TEST(SnapshotLoader, RefusesBrokenBytesAndKeysThatAreNotTheMessages) {
  SnapshotLoader broken;
  ASSERT_TRUE(broken.add("Grant", "t", "g", "\xff\xff\xff"));
  EXPECT_EQ(broken.finish().error().code(), Code::kDataLoss);
  SnapshotLoader swapped;
  ASSERT_TRUE(swapped.add("Grant", "t1", "other", grant(1).SerializeAsString()));
  EXPECT_EQ(swapped.finish().error().code(), Code::kDataLoss);
  SnapshotLoader unknown;
  EXPECT_EQ(unknown.add("Nothing", "", "n", "").error().code(), Code::kFailedPrecondition);
}

TEST(Snapshot, ScansInOrderFromAnywhereWithoutKeepingMessages) {
  SnapshotLoader loader;
  for (int i = 0; i < 3'000; ++i) ASSERT_TRUE(add(loader, grant(i)));
  const auto snapshot = loader.finish();
  const Kind& kind = kind_of<pb::Grant>();
  const int64_t parsed = Snapshot::parsed_count();
  std::vector<std::string> all;
  snapshot->scan(kind, [&](const Resource& each) {
    all.push_back(each.key().text());
    return true;
  });
  EXPECT_EQ(all.size(), 3'000u);
  EXPECT_EQ(Snapshot::parsed_count(), parsed);
  // A page after another.
  std::vector<std::string> paged;
  Resource last;
  for (bool more = true; more;) {
    more = false;
    const auto visit = [&](const Resource& each) {
      if (more && paged.size() % 700 == 0) return false;
      paged.push_back(each.key().text());
      last = each;
      return more = true;
    };
    snapshot->scan(kind, visit,
                   last ? std::optional(Snapshot::After{last.metadata().tenant(), last.name()})
                        : std::nullopt);
  }
  EXPECT_EQ(paged, all);
  int of_tenant = 0;
  snapshot->scan_by(kind, "tenant", "t7", [&](const Resource&) { return ++of_tenant < 5; });
  EXPECT_EQ(of_tenant, 5);
  EXPECT_TRUE(snapshot->peek(kind, "t7", "g7"));
  EXPECT_FALSE(snapshot->peek(kind, "t7", "g8"));
}

TEST(Snapshot, MessagesAreThereAgainAfterTheyWereReleased) {
  Snapshot snapshot;
  for (int i = 0; i < 100; ++i) snapshot.put(Resource::of(grant(i)));
  const Resource* before = snapshot.find(kind_of<pb::Grant>(), "t7", "g7");
  const auto released = snapshot.release_messages();
  EXPECT_EQ(released.size(), 100u);
  EXPECT_EQ(before->as<pb::Grant>().spec().cluster(), "c0") << "held on to by who released it";
  const Resource* after = snapshot.find(kind_of<pb::Grant>(), "t7", "g7");
  EXPECT_NE(after, before);
  EXPECT_EQ(after->as<pb::Grant>().SerializeAsString(), grant(7).SerializeAsString());
}

}  // namespace
}  // namespace frameworks
