#include "runtime/orchestration/orchestration_keeper.h"

#include <gtest/gtest.h>

#include <atomic>

#include "control/operations.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/words.h"
#include "runtime/orchestration/placement_plan.h"
#include "runtime/orchestration/rollout_batch.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

// Waits in real time for what other threads do.
template <typename Done>
bool eventually(Done done) {
  const auto deadline = system_clock().mono() + 30s;
  while (!done()) {
    if (system_clock().mono() > deadline) return false;
    system_clock().sleep_for(2ms, {});
  }
  return true;
}

class KeptOrchestration : public ::testing::Test {
 protected:
  KeptOrchestration() {
    open();
    pb::Cluster cluster;
    cluster.mutable_metadata()->set_name("eu");
    cluster.mutable_spec()->set_region("eu");
    put(cluster);
    for (const char* name : {"eu-1", "eu-2"}) {
      pb::Node node;
      node.mutable_metadata()->set_name(name);
      node.mutable_spec()->set_cluster("eu");
      node.mutable_status()->mutable_health()->set_state(pb::HEALTH_HEALTHY);
      put(node);
    }
    pb::Service service;
    service.mutable_metadata()->set_name("media");
    service.mutable_spec()->set_version("1");
    put(service);
    for (const char* name : {"media.eu-1", "media.eu-2"}) set_health(name, pb::HEALTH_HEALTHY);
  }
  ~KeptOrchestration() override { keeper_.reset(); }

  // The store anew, on what an earlier one left on its disk; placement derives as in the server.
  void open() {
    keeper_.reset();
    store_.reset();
    auto store = Store::open(std::make_unique<FakeLog>(disk_), clock_, {},
                             [](Transaction& transaction) -> Status {
                               return plan_instances(transaction, transaction.changed());
                             });
    ASSERT_TRUE(store) << store.error().text();
    store_ = std::move(*store);
  }
  void keep() {
    OrchestrationKeeper::Options options;
    options.wake_operations = [this] { ++woken_; };
    auto keeper = OrchestrationKeeper::start(*store_, clock_, std::move(options));
    ASSERT_TRUE(keeper) << keeper.error().text();
    keeper_ = std::move(*keeper);
  }
  template <typename T>
  void put(T message) {
    ASSERT_TRUE(store_->write("account/test", [&](Transaction& transaction) -> Status {
      transaction.put(message);
      return {};
    }));
  }
  template <typename T>
  T get(const std::string& name) {
    const SnapshotPtr now = store_->snapshot();
    const T* found = now->find<T>(name);
    return found == nullptr ? T() : *found;
  }
  void set_health(const std::string& name, pb::Health state) {
    auto instance = get<pb::Instance>(name);
    instance.mutable_status()->set_state(state);
    put(instance);
  }
  void start(const std::string& version) {
    pb::Rollout rollout;
    rollout.mutable_metadata()->set_name("media-1");
    rollout.mutable_spec()->set_service("media");
    rollout.mutable_spec()->set_version(version);
    put(rollout);
  }
  bool batch_is(int index, pb::BatchState state) {
    return eventually([&] {
      const auto status = get<pb::Rollout>("media-1").status();
      return index < status.batches_size() && status.batches(index).state() == state;
    });
  }
  bool rollout_is(pb::RolloutState state) {
    return eventually([&] { return get<pb::Rollout>("media-1").status().state() == state; });
  }
  // Plays the config layer for the operation that waits.
  void configure(const std::string& error = {}) {
    ASSERT_TRUE(store_->write("system/operations", [&](Transaction& transaction) -> Status {
      for (const auto& found : transaction.snapshot().list<pb::Operation>()) {
        if (found->status().state() != pb::OPERATION_STATE_UNSPECIFIED) continue;
        for (const std::string& name : found->spec().nodes()) {
          pb::Node node = *transaction.snapshot().find<pb::Node>(name);
          auto& status = *node.mutable_status()->mutable_configuration();
          status.set_error(error);
          *status.mutable_apply_time() = batch_time(transaction.time());
          transaction.put(node);
        }
        pb::Operation operation = *found;
        operation.mutable_status()->set_state(error.empty() ? pb::OPERATION_STATE_SUCCEEDED
                                                            : pb::OPERATION_STATE_FAILED);
        *operation.mutable_status()->mutable_end_time() = batch_time(transaction.time());
        transaction.put(operation);
      }
      return {};
    }));
  }

  ManualClock clock_;
  std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
  std::unique_ptr<Store> store_;
  std::unique_ptr<OrchestrationKeeper> keeper_;
  std::atomic<int> woken_{0};
};

TEST_F(KeptOrchestration, ARolloutGoesToItsEndAndARestartGoesOnWithIt) {
  keep();
  start("2");
  ASSERT_TRUE(batch_is(0, pb::BATCH_STATE_CONFIGURING));
  EXPECT_TRUE(eventually([&] { return woken_ == 1; }));
  EXPECT_EQ(get<pb::Instance>("media.eu-1").spec().version(), "2");
  EXPECT_EQ(get<pb::Instance>("media.eu-2").spec().version(), "1");
  open();  // the server is killed and starts again
  configure();
  keep();
  ASSERT_TRUE(batch_is(0, pb::BATCH_STATE_GATE));
  open();
  clock_.advance(10s);
  keep();
  ASSERT_TRUE(batch_is(0, pb::BATCH_STATE_DONE));
  ASSERT_TRUE(batch_is(1, pb::BATCH_STATE_CONFIGURING));
  configure();
  ASSERT_TRUE(batch_is(1, pb::BATCH_STATE_GATE));
  // The gate's time is looked at without anybody's writing.
  ASSERT_TRUE(eventually([&] {
    clock_.advance(1s);
    return get<pb::Rollout>("media-1").status().state() == pb::ROLLOUT_STATE_SUCCEEDED;
  }));
  EXPECT_EQ(get<pb::Service>("media").spec().version(), "2");
  EXPECT_EQ(get<pb::Instance>("media.eu-2").spec().version(), "2");
}

TEST_F(KeptOrchestration, AFailedCanaryIsTakenBackThoughTheServerStartsAnew) {
  keep();
  start("9.9");
  ASSERT_TRUE(batch_is(0, pb::BATCH_STATE_CONFIGURING));
  configure("no such version");
  ASSERT_TRUE(rollout_is(pb::ROLLOUT_STATE_ROLLING_BACK));
  open();
  keep();
  ASSERT_TRUE(eventually([&] { return get<pb::Instance>("media.eu-1").spec().version() == "1"; }));
  configure();
  ASSERT_TRUE(rollout_is(pb::ROLLOUT_STATE_ROLLED_BACK));
  EXPECT_EQ(get<pb::Rollout>("media-1").status().message(),
            "batch 1 (canary eu-1): eu-1: no such version");
}

TEST_F(KeptOrchestration, ADrainIsToldToItsEnd) {
  keep();
  auto node = get<pb::Node>("eu-1");
  node.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  put(node);
  const auto state = [&] { return get<pb::Node>("eu-1").status().drain().state(); };
  ASSERT_TRUE(eventually([&] { return state() == pb::DRAIN_STATE_LEAVING; }));
  ASSERT_TRUE(eventually([&] {
    clock_.advance(1s);
    return state() == pb::DRAIN_STATE_DRAINED;
  }));
  node = get<pb::Node>("eu-1");
  node.mutable_spec()->set_availability(pb::AVAILABILITY_ACTIVE);
  put(node);
  EXPECT_TRUE(eventually([&] { return state() == pb::DRAIN_STATE_UNSPECIFIED; }));
}

}  // namespace
}  // namespace frameworks
