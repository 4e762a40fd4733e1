#include "runtime/tenants/context_directory.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "base/read_section.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/network.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/json.h"
#include "runtime/tenants/tenant_context.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

template <typename T>
T named(const std::string& name, const std::string& tenant = {}) {
  T out;
  out.mutable_metadata()->set_name(name);
  out.mutable_metadata()->set_tenant(tenant);
  return out;
}

pb::Node node_in(const std::string& cluster, const std::string& name, pb::Health health) {
  auto node = named<pb::Node>(name);
  node.mutable_spec()->set_cluster(cluster);
  node.mutable_spec()->set_address("192.0.2.1");
  node.mutable_status()->mutable_health()->set_state(health);
  return node;
}

pb::Instance instance_on(const std::string& node, const std::string& service) {
  auto instance = named<pb::Instance>(service + "." + node);
  instance.mutable_spec()->set_service(service);
  instance.mutable_spec()->set_node(node);
  instance.mutable_status()->set_state(pb::HEALTH_HEALTHY);
  return instance;
}

pb::Service media(int number) {
  auto service = named<pb::Service>("media");
  service.mutable_spec()->set_tenant_facing(true);
  auto& port = *service.mutable_spec()->add_ports();
  port.set_name("rtmp");
  port.set_port(number);
  port.set_exposure(pb::EXPOSURE_PUBLIC);
  port.set_url("rtmp://{address}:{port}/live");
  return service;
}

// Two clusters with a media server each; tenant acme may use "eu", tenant other "us".
class ContextDirectoryTest : public ::testing::Test {
 protected:
  ContextDirectoryTest() {
    store_ = std::move(*Store::open(std::make_unique<FakeLog>(), clock_, {}));
    write([](Transaction& t) {
      t.put(media(1935));
      for (const char* cluster : {"eu", "us"}) {
        t.put(named<pb::Cluster>(cluster));
        t.put(node_in(cluster, std::string(cluster) + "-1", pb::HEALTH_HEALTHY));
        t.put(instance_on(std::string(cluster) + "-1", "media"));
      }
      for (const auto& [name, cluster] : {std::pair("acme", "eu"), std::pair("other", "us")}) {
        auto tenant = named<pb::Tenant>(name);
        tenant.mutable_spec()->set_subdomain(name);
        t.put(tenant);
        t.put(grant(name, cluster));
      }
    });
    directory_ = std::move(*ContextDirectory::start(*store_));
  }

  static pb::Grant grant(const std::string& tenant, const std::string& cluster) {
    auto out = named<pb::Grant>(cluster, tenant);
    out.mutable_spec()->set_cluster(cluster);
    return out;
  }

  Revision write(const std::function<void(Transaction&)>& change) {
    return store_
        ->write("test",
                [&](Transaction& transaction) -> Status {
                  change(transaction);
                  return {};
                })
        ->revision;
  }

  template <typename T>
  Revision put(T message) {
    return write([&](Transaction& t) { t.put(std::move(message)); });
  }

  // Also says whether the two forms tell the same, and the same as the plain way of computing it.
  pb::TenantContext get(const std::string& tenant) {
    pb::TenantContext out;
    const Ready ready = directory_->find(tenant);
    if (ready == nullptr) return out;
    EXPECT_TRUE(out.ParseFromString(joined(ready->proto)));
    EXPECT_EQ(out.revision(), ready->revision);
    pb::TenantContext from_text;
    EXPECT_TRUE(from_json(*parse_json(joined(ready->json)), from_text));
    EXPECT_EQ(from_text.DebugString(), out.DebugString());
    auto plain = *tenant_context(*store_->snapshot(), tenant);
    plain.set_revision(out.revision());
    EXPECT_EQ(plain.DebugString(), out.DebugString());
    return out;
  }
  // As a hot path would.
  static pb::TenantContext read(ContextDirectory& directory, const std::string& tenant) {
    pb::TenantContext out;
    {
      const ReadSection section;
      if (const auto* answer = directory.find_prepared(section, tenant)) {
        CHECK(out.ParseFromString(joined(answer->proto)));
        return out;
      }
    }
    CHECK(out.ParseFromString(joined(directory.find(tenant)->proto)));
    return out;
  }
  Revision revision(const std::string& tenant) { return get(tenant).revision(); }

  ManualClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ContextDirectory> directory_;
};

TEST_F(ContextDirectoryTest, AContextKeepsItsRevisionWhileOtherThingsChange) {
  const auto before = get("acme");
  ASSERT_EQ(before.endpoints_size(), 1);
  EXPECT_EQ(before.endpoints(0).url(), "rtmp://192.0.2.1:1935/live");
  auto other = named<pb::Tenant>("other");
  other.mutable_spec()->set_plan("pro");
  const Revision others = put(other);
  put(node_in("us", "us-1", pb::HEALTH_SUSPECT));
  put(node_in("us", "us-2", pb::HEALTH_HEALTHY));
  auto labelled = named<pb::Cluster>("eu");
  (*labelled.mutable_metadata()->mutable_labels())["colour"] = "blue";
  put(labelled);
  auto heartbeat = node_in("eu", "eu-1", pb::HEALTH_HEALTHY);
  heartbeat.mutable_status()->mutable_agent()->set_version("2");
  put(heartbeat);
  auto told = grant("acme", "eu");
  told.mutable_status()->set_state(pb::GRANT_STATE_ACTIVE);
  put(told);
  EXPECT_EQ(revision("acme"), before.revision());
  EXPECT_GT(revision("other"), others) << "its cluster changed later";
}

TEST_F(ContextDirectoryTest, EverythingThatAContextTellsOfChangesItsRevision) {
  Revision last = revision("acme");
  const auto changed = [&](Revision wrote, const char* what) {
    const Revision now = revision("acme");
    EXPECT_EQ(now, wrote) << what;
    EXPECT_GT(now, last) << what;
    last = now;
  };
  auto tenant = named<pb::Tenant>("acme");
  tenant.mutable_spec()->set_plan("pro");
  changed(put(tenant), "plan");
  changed(put(grant("acme", "us")), "another grant");
  EXPECT_EQ(get("acme").endpoints_size(), 2);
  changed(put(node_in("us", "us-1", pb::HEALTH_DOWN)), "a node is down");
  EXPECT_EQ(get("acme").endpoints_size(), 1);
  changed(put(node_in("eu", "eu-2", pb::HEALTH_HEALTHY)), "a node more");
  changed(put(instance_on("eu-2", "media")), "an instance more");
  EXPECT_EQ(get("acme").endpoints_size(), 2);
  changed(put(media(1936)), "the service's port");
  changed(write([](Transaction& t) { t.remove({"Instance", "", "media.eu-2"}); }), "one less");
  auto cluster = named<pb::Cluster>("eu");
  cluster.mutable_spec()->set_region("eu-west");
  changed(put(cluster), "the cluster's region");
  EXPECT_EQ(get("acme").endpoints(0).region(), "eu-west");
  tenant.mutable_spec()->set_suspended(true);
  changed(put(tenant), "suspended");
  EXPECT_EQ(get("acme").endpoints_size(), 0);
  changed(write([](Transaction& t) { t.remove({"Grant", "acme", "us"}); }), "a grant less");
  write([](Transaction& t) {
    t.remove({"Grant", "acme", "eu"});
    t.remove({"Tenant", "", "acme"});
  });
  EXPECT_EQ(directory_->find("acme"), nullptr);
}

TEST_F(ContextDirectoryTest, AGrantThatRunsOutIsNoLongerToldAndIsANewRevision) {
  auto expiring = grant("acme", "us");
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(clock_.wall().time_since_epoch());
  expiring.mutable_spec()->mutable_expire_time()->set_seconds(now.count() + 60);
  put(expiring);
  const Revision before = revision("acme");
  EXPECT_EQ(get("acme").clusters_size(), 2);
  clock_.advance(std::chrono::minutes(2));
  const Revision later = put(named<pb::Zone>("elsewhere.example"));
  EXPECT_EQ(get("acme").clusters_size(), 1);
  EXPECT_GT(revision("acme"), before);
  EXPECT_LE(revision("acme"), later);
  // The grant's status is written when it ran out: from then on this is the last change.
  expiring.mutable_status()->set_state(pb::GRANT_STATE_EXPIRED);
  const Revision told = put(expiring);
  EXPECT_EQ(revision("acme"), told);
  const auto forgetful = std::move(*ContextDirectory::start(*store_));
  EXPECT_GE(forgetful->find("acme")->revision, told);
}

TEST_F(ContextDirectoryTest, FindsByEveryNameAndNotByOneThatWasGivenUp) {
  auto tenant = named<pb::Tenant>("acme");
  tenant.mutable_spec()->set_subdomain("shop");
  tenant.mutable_spec()->add_domains("live.example.org");
  put(tenant);
  const auto name_by = [&](auto set) {
    pb::TenantKey key;
    set(key);
    std::string name;
    const auto found = directory_->find(key, &name);
    EXPECT_TRUE(found);
    const ReadSection section;
    std::string_view prepared;
    EXPECT_EQ(directory_->find_prepared(section, key, &prepared), found->get());
    EXPECT_EQ(prepared, name);
    return *found == nullptr ? std::string("nobody") : name;
  };
  const auto by_subdomain = [](const char* text) {
    return [text](pb::TenantKey& key) { key.set_subdomain(text); };
  };
  const auto by_domain = [](pb::TenantKey& key) { key.set_domain("live.example.org"); };
  const std::string uid = store_->snapshot()->find<pb::Tenant>("acme")->metadata().uid();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(name_by([&](pb::TenantKey& key) { key.set_uid(uid); }), "acme");
    EXPECT_EQ(name_by(by_subdomain("shop")), "acme");
    EXPECT_EQ(name_by(by_domain), "nobody") << "it was not verified";
  }
  auto& domain = *tenant.mutable_status()->add_domains();
  domain.set_domain("live.example.org");
  domain.set_state(pb::DOMAIN_STATE_VERIFIED);
  put(tenant);
  EXPECT_EQ(name_by(by_domain), "acme");
  // The subdomain goes to another tenant.
  tenant.mutable_spec()->set_subdomain("acme");
  auto other = named<pb::Tenant>("other");
  other.mutable_spec()->set_subdomain("shop");
  write([&](Transaction& t) {
    t.put(tenant);
    t.put(other);
  });
  EXPECT_EQ(name_by(by_subdomain("shop")), "other");
  pb::TenantKey two;
  two.set_tenant("acme");
  two.set_uid(uid);
  EXPECT_EQ(directory_->find(two, nullptr).error().code(), Code::kInvalidArgument);
  const ReadSection section;
  EXPECT_EQ(directory_->find_prepared(section, two, nullptr), nullptr);
}

TEST_F(ContextDirectoryTest, WhatAWriteTouchedIsNotPreparedUntilItIsAskedForAgain) {
  const auto is_prepared = [&](const char* tenant) {
    const ReadSection section;
    return directory_->find_prepared(section, tenant) != nullptr;
  };
  EXPECT_FALSE(is_prepared("acme"));
  EXPECT_EQ(directory_->find("nobody"), nullptr);
  EXPECT_FALSE(is_prepared("nobody"));
  for (const char* tenant : {"acme", "other"}) {
    EXPECT_NE(directory_->find(tenant), nullptr);
    EXPECT_TRUE(is_prepared(tenant));
  }
  put(node_in("eu", "eu-1", pb::HEALTH_DOWN));
  (void)directory_->changes();  // keeps up
  EXPECT_FALSE(is_prepared("acme"));
  EXPECT_TRUE(is_prepared("other"));
  EXPECT_NE(directory_->find("acme"), nullptr);
  EXPECT_TRUE(is_prepared("acme"));
}

TEST_F(ContextDirectoryTest, AWatchIsPokedForWhatItTellsOfAndGetsTheNewestOnly) {
  std::atomic<int> pokes = 0;
  auto watch = std::move(*directory_->watch("acme", [&] {
    ++pokes;
    pokes.notify_all();
  }));
  ASSERT_NE(*watch->next(), nullptr);
  EXPECT_EQ(*watch->next(), nullptr);
  put(node_in("us", "us-1", pb::HEALTH_DOWN));
  put(node_in("eu", "eu-1", pb::HEALTH_SUSPECT));
  const Revision last = put(node_in("eu", "eu-1", pb::HEALTH_DOWN));
  pokes.wait(0);
  const Ready ready = *watch->next();
  // The poke may have been for the first of the two.
  if (ready != nullptr && ready->revision != last) {
    EXPECT_EQ((*watch->next())->revision, last);
  }
  EXPECT_EQ(*watch->next(), nullptr);
  EXPECT_LE(pokes.load(), 2);
  write([](Transaction& t) {
    t.remove({"Grant", "acme", "eu"});
    t.remove({"Tenant", "", "acme"});
  });
  EXPECT_EQ(watch->next().error().code(), Code::kNotFound);
}

// Every answer is what the plain way computes of the fleet at the revision that it names.
TEST_F(ContextDirectoryTest, AnswersAreTrueWhileTheFleetChanges) {
  constexpr int kWrites = 400;
  std::vector<std::string> by_revision(kWrites + 10);
  std::mutex mutex;
  std::atomic<bool> done = false;
  const auto text_of = [](pb::TenantContext context) {
    context.set_revision(0);
    return context.DebugString();
  };
  std::vector<std::pair<Revision, std::string>> seen;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 2; ++i)
    readers.emplace_back([&] {
      Revision newest = 0;
      while (!done) {
        const pb::TenantContext context = read(*directory_, "acme");
        if (context.revision() == newest) continue;
        EXPECT_GT(context.revision(), newest) << "it goes forward only";
        newest = context.revision();
        std::lock_guard lock(mutex);
        seen.emplace_back(newest, text_of(context));
      }
    });
  for (int i = 0; i < kWrites; ++i) {
    const auto health = i % 3 == 0 ? pb::HEALTH_DOWN : pb::HEALTH_HEALTHY;
    const Revision at =
        put(node_in(i % 2 == 0 ? "eu" : "us", i % 2 == 0 ? "eu-1" : "us-1", health));
    if (static_cast<size_t>(at) < by_revision.size())
      by_revision[static_cast<size_t>(at)] = text_of(*tenant_context(*store_->snapshot(), "acme"));
    const Ready ready = directory_->find("acme");
    EXPECT_LE(ready->revision, at);
    EXPECT_EQ(text_of(get("acme")), text_of(*tenant_context(*store_->snapshot(), "acme")));
  }
  done = true;
  readers.clear();
  int checked = 0;
  for (const auto& [at, text] : seen) {
    if (by_revision[static_cast<size_t>(at)].empty()) continue;
    EXPECT_EQ(text, by_revision[static_cast<size_t>(at)]) << "revision " << at;
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST_F(ContextDirectoryTest, ASmallOneAnswersForMoreThanItKeeps) {
  write([](Transaction& t) {
    for (int i = 0; i < 100; ++i) t.put(named<pb::Tenant>(fmt::format("tenant-{}", i)));
  });
  const auto small = std::move(*ContextDirectory::start(*store_, {.entries = 6}));
  // Each takes from under the others what they read.
  std::vector<std::jthread> threads;
  for (int first = 0; first < 3; ++first)
    threads.emplace_back([&small, first] {
      for (int i = first; i < 2'000; ++i) {
        const std::string name = fmt::format("tenant-{}", i / 2 % 100);
        EXPECT_EQ(read(*small, name).tenant(), name);
      }
    });
}

}  // namespace
}  // namespace frameworks
