// A small fleet in a store in memory, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "store/store.h"

namespace frameworks {

inline std::unique_ptr<Store> open_test_store(Clock& clock) {
  return std::move(*Store::open(std::move(*open_sqlite_log(":memory:")), clock, {}));
}

inline void put_cluster(Store& store, const std::string& name) {
  pb::Cluster cluster;
  cluster.mutable_metadata()->set_name(name);
  cluster.mutable_spec()->set_region("eu-west");
  ASSERT_TRUE(store.write("test", [&](Transaction& transaction) -> Status {
    transaction.put(cluster);
    return {};
  }));
}

inline void put_node(Store& store, const std::string& name, const std::string& cluster,
                     bool joined) {
  pb::Node node;
  node.mutable_metadata()->set_name(name);
  node.mutable_spec()->set_cluster(cluster);
  if (joined) node.mutable_status()->mutable_agent()->mutable_join_time()->set_seconds(1);
  ASSERT_TRUE(store.write("test", [&](Transaction& transaction) -> Status {
    transaction.put(node);
    return {};
  }));
}

// Something that happens on another thread, waited for with a deadline.
class Signal {
 public:
  void raise() {
    std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  // Waits until `done()` holds; looks again at every raise().
  template <typename Done>
  bool wait(Done done) {
    std::unique_lock lock(mutex_);
    const auto deadline = system_clock().mono() + std::chrono::seconds(20);
    while (true) {
      const int seen = count_;
      lock.unlock();
      if (done()) return true;
      lock.lock();
      // The limit is for conditions that nobody signals.
      changed_.wait_for(lock, std::chrono::milliseconds(20), [&] { return count_ != seen; });
      if (system_clock().mono() > deadline) return false;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

}  // namespace frameworks
