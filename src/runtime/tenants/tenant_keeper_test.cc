#include "runtime/tenants/tenant_keeper.h"

#include <gtest/gtest.h>

#include <atomic>

#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/validate.h"
#include "runtime/tenants/domain_check.h"
#include "runtime/tenants/fake_txt_resolver.h"
#include "runtime/tenants/tenant_context.h"
#include "runtime/tenants/tenant_deletion.h"
#include "runtime/tenants/tenant_status.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

constexpr std::chrono::seconds kStart{1'700'000'000};

// One whose wall clock can be set.
class SettableClock final : public Clock {
 public:
  WallTime wall() const override { return clock_.wall() + ahead_.load(); }
  MonoTime mono() const override { return clock_.mono(); }
  bool sleep_for(Duration duration, std::stop_token stop) override {
    return clock_.sleep_for(duration, std::move(stop));
  }
  void advance(Duration by) { clock_.advance(by); }
  void set_ahead(Duration by) { ahead_ = by; }

 private:
  ManualClock clock_{WallTime{kStart}};
  std::atomic<Duration> ahead_{Duration::zero()};
};

template <typename T>
T named(const std::string& name, const std::string& tenant = {}) {
  T out;
  out.mutable_metadata()->set_name(name);
  out.mutable_metadata()->set_tenant(tenant);
  return out;
}

pb::Cluster cluster(const std::string& name, pb::Sharing sharing, const std::string& owner = {}) {
  auto out = named<pb::Cluster>(name);
  out.mutable_spec()->set_tier(pb::TIER_EDGE);
  out.mutable_spec()->set_region("eu-west");
  out.mutable_spec()->set_sharing(sharing);
  out.mutable_spec()->set_owner(owner);
  const auto number = std::hash<std::string>{}(name) % 250 + 1;
  out.mutable_spec()->mutable_networks()->set_mesh("10.64." + std::to_string(number) + ".0/24");
  return out;
}

pb::Grant grant(const std::string& tenant, const std::string& cluster,
                std::chrono::seconds expires_after = {}) {
  auto out = named<pb::Grant>(cluster, tenant);
  out.mutable_spec()->set_cluster(cluster);
  if (expires_after.count() != 0)
    out.mutable_spec()->mutable_expire_time()->set_seconds((kStart + expires_after).count());
  return out;
}

// Waits in real time for what other threads do.
template <typename Done>
bool eventually(Done done) {
  const auto deadline = system_clock().mono() + 10s;
  while (!done()) {
    if (system_clock().mono() > deadline) return false;
    system_clock().sleep_for(2ms, {});
  }
  return true;
}

class Keeper : public ::testing::Test {
 protected:
  Keeper() { open(); }
  ~Keeper() override { keeper_.reset(); }

  // The store anew, on what an earlier one left on its disk.
  void open() {
    keeper_.reset();
    store_.reset();
    auto store = Store::open(std::make_unique<FakeLog>(disk_), clock_, {}, derive_tenants);
    ASSERT_TRUE(store) << store.error().text();
    store_ = std::move(*store);
  }
  void start() {
    auto keeper = TenantKeeper::start(*store_, clock_, txt_, {[this] { ++woken_; }, 30s});
    ASSERT_TRUE(keeper) << keeper.error().text();
    keeper_ = std::move(*keeper);
  }
  // Time enough for what would happen now, if anything did.
  static void settle() { system_clock().sleep_for(20ms, {}); }
  // Whether it comes to hold when so much time has passed.
  template <typename Done>
  bool after(Duration by, Done done) {
    settle();
    clock_.advance(by);
    return eventually(done);
  }

  Result<Committed> write(const Edit& edit) { return store_->write("account/test", edit); }
  template <typename T>
  void put(T message) {
    const auto done = write([&](Transaction& transaction) -> Status {
      transaction.put(with_defaults(Resource::of(message)));
      const auto keys = transaction.changed();
      return validate_fleet(transaction.snapshot(), keys);
    });
    EXPECT_TRUE(done) << (done ? "" : done.error().text());
  }
  void begin_deleting(const std::string& tenant) {
    ASSERT_TRUE(write([&](Transaction& transaction) -> Status {
      begin_deletion(transaction, tenant);
      return {};
    }));
  }
  SnapshotPtr now() const { return store_->snapshot(); }
  const pb::Tenant* tenant(const std::string& name) {
    held_ = now();
    return held_->find<pb::Tenant>(name);
  }
  pb::GrantState state(const std::string& tenant, const std::string& name) {
    const SnapshotPtr snapshot = now();
    const Resource* found = snapshot->find({"Grant", tenant, name});
    return found == nullptr ? pb::GRANT_STATE_UNSPECIFIED : found->as<pb::Grant>().status().state();
  }
  int clusters_of(const std::string& name) { return tenant_context(*now(), name)->clusters_size(); }
  Lines waiting(const std::string& name) {
    const auto* found = tenant(name);
    if (found == nullptr) return {"gone"};
    return {found->status().waiting().begin(), found->status().waiting().end()};
  }
  const pb::DomainStatus& domain(const std::string& name) {
    return tenant(name)->status().domains(0);
  }
  void put_with_domain(const std::string& name) {
    auto made = named<pb::Tenant>(name);
    made.mutable_spec()->add_domains("live.example.org");
    put(made);
  }

  // acme owns a cluster with a node, and has a grant, an invite and an account with a token.
  void make_acme() {
    put(named<pb::Tenant>("acme"));
    put(cluster("shared", pb::SHARING_SHARED));
    put(cluster("own", pb::SHARING_CUSTOMER_MANAGED, "acme"));
    auto node = named<pb::Node>("own-1");
    node.mutable_spec()->set_cluster("own");
    node.mutable_spec()->set_address("192.0.2.1");
    put(node);
    auto primary = *tenant("acme");
    primary.mutable_spec()->set_primary_cluster("own");
    put(primary);
    put(grant("acme", "shared"));
    auto invite = named<pb::Invite>("i1");
    invite.mutable_spec()->set_cluster("shared");
    invite.mutable_spec()->set_tenant("acme");
    put(invite);
    auto account = named<pb::Account>("acme-shop");
    account.mutable_spec()->set_role(pb::ROLE_VIEWER);
    account.mutable_spec()->set_tenant("acme");
    put(account);
  }

  SettableClock clock_;
  FakeTxtResolver txt_;
  std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
  std::unique_ptr<Store> store_;
  std::unique_ptr<TenantKeeper> keeper_;
  SnapshotPtr held_;
  std::atomic<int> woken_{0};
};

TEST_F(Keeper, AGrantExpiresAtItsMomentThoughNobodyElseWrites) {
  put(named<pb::Tenant>("acme"));
  put(cluster("shared", pb::SHARING_SHARED));
  put(grant("acme", "shared", 60s));
  EXPECT_EQ(state("acme", "shared"), pb::GRANT_STATE_ACTIVE);
  start();
  const Revision revision = store_->revision();
  clock_.advance(59s);
  settle();
  EXPECT_EQ(store_->revision(), revision);
  EXPECT_EQ(clusters_of("acme"), 1);
  ASSERT_TRUE(after(1s, [&] { return state("acme", "shared") == pb::GRANT_STATE_EXPIRED; }));
  EXPECT_EQ(clusters_of("acme"), 0);
}

TEST_F(Keeper, WhatExpiredWhileNobodyKeptIsToldAtTheNextStart) {
  put(named<pb::Tenant>("acme"));
  put(cluster("shared", pb::SHARING_SHARED));
  put(grant("acme", "shared", 60s));
  clock_.advance(1h);
  open();
  EXPECT_EQ(state("acme", "shared"), pb::GRANT_STATE_ACTIVE);
  start();
  EXPECT_TRUE(eventually([&] { return state("acme", "shared") == pb::GRANT_STATE_EXPIRED; }));
}

TEST_F(Keeper, AClockThatIsSetForwardIsNoticedWithinASecondAndOneSetBackBringsNothingBack) {
  put(named<pb::Tenant>("acme"));
  put(cluster("shared", pb::SHARING_SHARED));
  put(grant("acme", "shared", 3600s));
  start();
  clock_.set_ahead(3600s);
  ASSERT_TRUE(after(1s, [&] { return state("acme", "shared") == pb::GRANT_STATE_EXPIRED; }));
  clock_.set_ahead(-3600s);
  put(named<pb::Tenant>("other"));
  EXPECT_EQ(clusters_of("acme"), 0);
  EXPECT_EQ(state("acme", "shared"), pb::GRANT_STATE_EXPIRED);
}

TEST_F(Keeper, AGrantThatWasProlongedExpiresLaterAndOneThatWasRevivedOnceMore) {
  put(named<pb::Tenant>("acme"));
  put(cluster("shared", pb::SHARING_SHARED));
  put(grant("acme", "shared", 60s));
  start();
  put(grant("acme", "shared", 120s));
  clock_.advance(60s);
  put(named<pb::Tenant>("other"));
  EXPECT_EQ(clusters_of("acme"), 1);
  ASSERT_TRUE(after(60s, [&] { return state("acme", "shared") == pb::GRANT_STATE_EXPIRED; }));
  put(grant("acme", "shared", 300s));
  EXPECT_EQ(state("acme", "shared"), pb::GRANT_STATE_ACTIVE);
  EXPECT_EQ(clusters_of("acme"), 1);
  ASSERT_TRUE(after(180s, [&] { return state("acme", "shared") == pb::GRANT_STATE_EXPIRED; }));
}

TEST_F(Keeper, AThousandGrantsThatExpireTogetherDoSoInFewWrites) {
  put(cluster("shared", pb::SHARING_SHARED));
  ASSERT_TRUE(write([&](Transaction& transaction) -> Status {
    for (int i = 0; i < 1000; ++i) {
      const std::string name = "t" + std::to_string(i);
      transaction.put(named<pb::Tenant>(name));
      transaction.put(grant(name, "shared", 60s));
    }
    return {};
  }));
  start();
  const Revision revision = store_->revision();
  ASSERT_TRUE(after(60s, [&] { return state("t999", "shared") == pb::GRANT_STATE_EXPIRED; }));
  EXPECT_LE(store_->revision(), revision + 4);
  EXPECT_TRUE(now()->find_by<pb::Grant>("expiry", "ahead").empty());
}

TEST_F(Keeper, ATenantGoesInOrderAndTellsWhatItWaitsFor) {
  make_acme();
  begin_deleting("acme");
  EXPECT_EQ(tenant("acme")->status().state(), pb::TENANT_STATE_DELETING);
  EXPECT_EQ(tenant_context(*now(), "acme")->state(), pb::TENANT_STATE_DELETING);
  EXPECT_EQ(waiting("acme"),
            (Lines{"1 grant", "1 invite", "cluster \"own\" with 1 node and 0 instances",
                   "1 account", "names \"acme\""}));
  start();
  ASSERT_TRUE(eventually([&] { return tenant("acme") == nullptr; }));
  const SnapshotPtr left = now();
  EXPECT_EQ(left->count(kind_of<pb::Grant>()), 0u);
  EXPECT_EQ(left->count(kind_of<pb::Invite>()), 0u);
  EXPECT_EQ(left->count(kind_of<pb::Node>()), 0u);
  EXPECT_EQ(left->count(kind_of<pb::Account>()), 0u);
  EXPECT_EQ(left->find<pb::Cluster>("own"), nullptr);
  EXPECT_NE(left->find<pb::Cluster>("shared"), nullptr);
  EXPECT_EQ(woken_, 1) << "machines go by an operation";
  EXPECT_EQ(left->count(kind_of<pb::Operation>()), 1u);
}

TEST_F(Keeper, WhatStandsInTheWayIsNamedAndWaitedForAndWhatComesAfterStays) {
  make_acme();
  put(cluster("dear", pb::SHARING_DEDICATED, "acme"));
  put(named<pb::Tenant>("globex"));
  put(grant("globex", "own"));
  start();
  begin_deleting("acme");
  ASSERT_TRUE(eventually([&] { return waiting("acme").size() == 4; }));
  EXPECT_EQ(waiting("acme"),
            (Lines{"cluster \"dear\" with 0 nodes and 0 instances: it is dedicated to the tenant: "
                   "delete it, or give it another owner",
                   "cluster \"own\" with 1 node and 0 instances: others use it by "
                   "Grant/globex/own: delete it first, or give the cluster another owner",
                   "1 account", "names \"acme\""}));
  // What the model's rules say against it is told too.
  auto service = named<pb::Service>("relay");
  service.mutable_spec()->mutable_placement()->add_clusters("own");
  ASSERT_TRUE(write([&](Transaction& transaction) -> Status {
    transaction.put(service);
    transaction.remove({"Grant", "globex", "own"});
    transaction.put(cluster("dear", pb::SHARING_SHARED));
    return {};
  }));
  ASSERT_TRUE(eventually([&] {
    const Lines lines = waiting("acme");
    return lines.size() == 3 && lines[0].find("Service/relay") != std::string::npos;
  })) << waiting("acme")[0];
  EXPECT_NE(now()->find<pb::Account>("acme-shop"), nullptr);
  ASSERT_TRUE(write([&](Transaction& transaction) -> Status {
    transaction.remove({"Service", "", "relay"});
    return {};
  }));
  EXPECT_TRUE(eventually([&] { return tenant("acme") == nullptr; }));
}

TEST_F(Keeper, ADeletionGoesOnFromWhereverAnEarlierServerStopped) {
  for (size_t steps = 0;; ++steps) {
    disk_ = std::make_shared<FakeDisk>();
    open();
    make_acme();
    begin_deleting("acme");
    size_t taken = 0;
    while (taken < steps && tenant("acme") != nullptr) {
      const auto plan = plan_deletion(*now(), "acme");
      ASSERT_TRUE(write([&](Transaction& transaction) -> Status {
        const auto done = take_step(transaction, "acme", plan[0].stage, plan[0].about);
        return done ? Status() : done.error();
      }));
      ++taken;
    }
    if (taken < steps) break;  // it was over before
    open();
    start();
    ASSERT_TRUE(eventually([&] { return tenant("acme") == nullptr; })) << steps;
    EXPECT_EQ(now()->find<pb::Cluster>("own"), nullptr);
  }
}

TEST_F(Keeper, ATenantThatHasNothingGoesAtOnceAndItsNameIsFree) {
  put(named<pb::Tenant>("acme"));
  begin_deleting("acme");
  EXPECT_EQ(tenant("acme"), nullptr);
  put(named<pb::Tenant>("acme"));
}

TEST_F(Keeper, NothingNewRefersToATenantThatGoesAndItsNamesStayTaken) {
  make_acme();
  begin_deleting("acme");
  const auto refused = [&](auto message) {
    const auto done = write([&](Transaction& transaction) -> Status {
      const Snapshot before = transaction.snapshot();
      transaction.put(with_defaults(Resource::of(message)));
      const auto keys = transaction.changed();
      return validate_fleet(transaction.snapshot(), keys, {}, &before);
    });
    return done ? std::string("written") : done.error().text();
  };
  put(cluster("late", pb::SHARING_SHARED));
  EXPECT_NE(refused(grant("acme", "late")).find("is being deleted"), std::string::npos);
  EXPECT_NE(refused(cluster("later", pb::SHARING_DEDICATED, "acme")).find("is being deleted"),
            std::string::npos);
  auto squatter = named<pb::Tenant>("other");
  squatter.mutable_spec()->set_subdomain("acme");
  EXPECT_NE(refused(squatter).find("belongs to Tenant/acme"), std::string::npos);
  // What was there may still be written: its node reports, for one.
  EXPECT_EQ(refused(*now()->find<pb::Cluster>("own")), "written");
}

TEST_F(Keeper, ADomainIsLookedForUntilItsRecordIsThere) {
  put_with_domain("acme");
  EXPECT_EQ(domain("acme").state(), pb::DOMAIN_STATE_PENDING);
  const std::string challenge = domain("acme").challenge();
  start();
  ASSERT_TRUE(eventually([&] { return domain("acme").state() == pb::DOMAIN_STATE_FAILED; }));
  EXPECT_EQ(domain("acme").message(), "there is no TXT record at _frameworks.live.example.org");
  txt_.set("_frameworks.live.example.org", {"something else"});
  ASSERT_TRUE(after(
      15s, [&] { return domain("acme").message().find("another value") != std::string::npos; }));
  txt_.set("_frameworks.live.example.org", {"something else", challenge});
  EXPECT_EQ(txt_.asked(), 2);
  settle();
  clock_.advance(29s);
  settle();
  EXPECT_EQ(txt_.asked(), 2) << "the time between doubles";
  ASSERT_TRUE(after(1s, [&] { return domain("acme").state() == pb::DOMAIN_STATE_VERIFIED; }));
  EXPECT_EQ(tenant_context(*now(), "acme")->domains_size(), 1);
}

TEST_F(Keeper, AClaimBlocksNobodyAndTheRecordDecides) {
  put_with_domain("squatter");
  put_with_domain("owner");
  txt_.set("_frameworks.live.example.org", {domain("owner").challenge()});
  start();
  ASSERT_TRUE(eventually([&] { return domain("owner").state() == pb::DOMAIN_STATE_VERIFIED; }));
  ASSERT_TRUE(eventually([&] { return domain("squatter").state() == pb::DOMAIN_STATE_FAILED; }));
  // Even with a record of its own the second one waits until the first one is gone.
  txt_.set("_frameworks.live.example.org",
           {domain("owner").challenge(), domain("squatter").challenge()});
  const auto status =
      check_domain(*store_, txt_, "account/test", "squatter", "live.example.org", DryRun::kNo);
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_EQ(status->state(), pb::DOMAIN_STATE_FAILED);
  EXPECT_EQ(status->message(), "the domain was verified for another tenant before");
}

TEST_F(Keeper, ADomainThatIsVerifiedOutlivesSilenceAndThreeDaysWithoutItsRecord) {
  put_with_domain("acme");
  txt_.set("_frameworks.live.example.org", {domain("acme").challenge()});
  const auto check = [&] {
    const auto status =
        check_domain(*store_, txt_, "account/test", "acme", "live.example.org", DryRun::kNo);
    EXPECT_TRUE(status);
    return status->state();
  };
  EXPECT_EQ(check(), pb::DOMAIN_STATE_VERIFIED);
  txt_.set_silent(true);
  clock_.advance(240h);
  EXPECT_EQ(check(), pb::DOMAIN_STATE_VERIFIED);
  EXPECT_NE(domain("acme").message().find("could not be looked for"), std::string::npos);
  txt_.set_silent(false);
  EXPECT_EQ(check(), pb::DOMAIN_STATE_VERIFIED);
  txt_.remove("_frameworks.live.example.org");
  clock_.advance(71h);
  EXPECT_EQ(check(), pb::DOMAIN_STATE_VERIFIED);
  clock_.advance(1h);
  EXPECT_EQ(check(), pb::DOMAIN_STATE_FAILED);
  EXPECT_EQ(tenant_context(*now(), "acme")->domains_size(), 0);
}

TEST_F(Keeper, AnotherListOfDomainsKeepsWhatIsVerifiedAndAsksForWhatIsNew) {
  put_with_domain("acme");
  txt_.set("_frameworks.live.example.org", {domain("acme").challenge()});
  start();
  ASSERT_TRUE(eventually([&] { return domain("acme").state() == pb::DOMAIN_STATE_VERIFIED; }));
  auto changed = *tenant("acme");
  changed.mutable_spec()->add_domains("tv.example.org");
  put(changed);
  ASSERT_TRUE(eventually(
      [&] { return tenant("acme")->status().domains(1).state() == pb::DOMAIN_STATE_FAILED; }));
  EXPECT_EQ(domain("acme").state(), pb::DOMAIN_STATE_VERIFIED);
  EXPECT_EQ(check_domain(*store_, txt_, "account/test", "acme", "no.example.org", DryRun::kNo)
                .error()
                .code(),
            Code::kNotFound);
}

}  // namespace
}  // namespace frameworks
