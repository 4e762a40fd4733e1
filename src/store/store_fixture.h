// A store on a log in memory that can be told to fail, and edits of tenants.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "store/fake_log.h"
#include "store/log_contract.h"
#include "store/store.h"

namespace frameworks {

inline pb::Tenant tenant(const std::string& name, const std::string& plan) {
  pb::Tenant out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_plan(plan);
  return out;
}

inline Edit put_tenant(const std::string& name, const std::string& plan) {
  return [=](Transaction& t) -> Status {
    t.put(tenant(name, plan));
    return {};
  };
}

inline Edit remove_tenant(const std::string& name) {
  return [=](Transaction& t) -> Status {
    t.remove({"Tenant", "", name});
    return {};
  };
}

class StoreTest : public testing::Test {
 protected:
  void SetUp() override { open({}); }
  void open(Store::Options options, Edit derive = nullptr) {
    store_.reset();
    auto log = std::make_unique<FaultyLog>(std::make_unique<FakeLog>(disk_), faults_);
    auto store = Store::open(std::move(log), clock_, options, std::move(derive));
    ASSERT_TRUE(store) << store.error().text();
    store_ = *std::move(store);
  }
  Committed write(const Edit& edit) {
    Result<Committed> done = store_->write("account/test", edit);
    EXPECT_TRUE(done) << done.error().text();
    return done ? *std::move(done) : Committed{};
  }
  Error refused(const Edit& edit) {
    Result<Committed> done = store_->write("account/test", edit);
    EXPECT_FALSE(done);
    return done ? Error(Code::kUnknown, "it was written") : done.error();
  }
  SnapshotPtr now() { return store_->snapshot(); }
  std::shared_ptr<const pb::Tenant> find(const std::string& name) {
    const Resource* found = now()->find({"Tenant", "", name});
    return found == nullptr ? nullptr : found->share<pb::Tenant>();
  }

  ManualClock clock_;
  std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
  std::shared_ptr<FaultyLog::Faults> faults_ = std::make_shared<FaultyLog::Faults>();
  std::unique_ptr<Store> store_;
};

}  // namespace frameworks
