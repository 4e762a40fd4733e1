// A fleet for tests of rollouts: edges in regions, a service on each, and hands that play the
// config layer, the health layer and the clock.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/availability.h"
#include "model/words.h"
#include "runtime/orchestration/placement_plan.h"
#include "runtime/orchestration/rollout_batch.h"
#include "runtime/orchestration/rollout_change.h"
#include "runtime/orchestration/rollout_plan.h"
#include "store/fake_transaction.h"

namespace frameworks {

using Lines = std::vector<std::string>;

inline google::protobuf::Duration seconds_of(int64_t seconds) {
  google::protobuf::Duration out;
  out.set_seconds(seconds);
  return out;
}

class RolloutWorld : public ::testing::Test {
 protected:
  static constexpr WallTime kBegin{std::chrono::seconds{1'700'000'000}};

  // "eu-1", ...: nodes of cluster and region "eu".
  void add_nodes(const std::string& region, int count) {
    pb::Cluster cluster;
    cluster.mutable_metadata()->set_name(region);
    cluster.mutable_spec()->set_region(region);
    fleet_.put(cluster);
    for (int i = 1; i <= count; ++i) add_node(region, fmt::format("{}-{}", region, i));
  }
  void add_node(const std::string& cluster, const std::string& name) {
    pb::Node node;
    node.mutable_metadata()->set_name(name);
    node.mutable_spec()->set_cluster(cluster);
    node.mutable_status()->mutable_health()->set_state(pb::HEALTH_HEALTHY);
    fleet_.put(node);
  }
  void add_service(const std::string& name, const std::string& version) {
    pb::Service service;
    service.mutable_metadata()->set_name(name);
    service.mutable_spec()->set_role(name);
    service.mutable_spec()->set_version(version);
    fleet_.put(service);
    place();
  }
  void place() {
    EXPECT_TRUE(plan_instances(fleet_));
    for (const auto& instance : fleet_.snapshot().list<pb::Instance>())
      if (instance->status().state() == pb::HEALTH_UNSPECIFIED)
        set_health(instance->metadata().name(), pb::HEALTH_HEALTHY);
  }
  pb::Rollout start(const std::string& version, const pb::RolloutStrategy& strategy = {},
                    const std::string& service = "media") {
    pb::Rollout rollout;
    rollout.mutable_metadata()->set_name(next_rollout_name(fleet_.snapshot(), service));
    rollout.mutable_spec()->set_service(service);
    rollout.mutable_spec()->set_version(version);
    *rollout.mutable_spec()->mutable_strategy() = strategy;
    *rollout.mutable_metadata()->mutable_create_time() = batch_time(now_);
    fleet_.put(rollout);
    return rollout;
  }
  void edit(const std::string& name, const std::function<void(pb::RolloutSpec&)>& change) {
    pb::Rollout rollout = get(name);
    change(*rollout.mutable_spec());
    fleet_.put(rollout);
  }
  pb::Rollout get(const std::string& name = "media-1") {
    return *fleet_.snapshot().find<pb::Rollout>(name);
  }
  pb::Node node(const std::string& name) { return *fleet_.snapshot().find<pb::Node>(name); }

  // Takes steps until nothing more is to be done now; how long until it would look again.
  std::optional<Duration> settle(const std::string& name = "media-1",
                                 const DisruptionBudget& budget = {}) {
    for (int i = 0; i < 100; ++i) {
      at(now_);
      const RolloutMove move = move_rollout(fleet_, name, budget);
      if (!move.wrote) return move.again;
    }
    ADD_FAILURE() << "never settles";
    return {};
  }
  void pass(Duration by) { now_ += by; }
  // Sets the transaction's time.
  void at(WallTime time) {
    Snapshot snapshot = fleet_.snapshot();
    snapshot.set_revision(snapshot.revision() + 1, time);
    fleet_ = FakeTransaction(std::move(snapshot));
  }

  // The config layer ends what waits; `errors` by node.
  void configure(const std::map<std::string, std::string>& errors = {}) {
    for (const auto& found : fleet_.snapshot().list<pb::Operation>()) {
      if (found->status().state() != pb::OPERATION_STATE_UNSPECIFIED) continue;
      pb::Operation operation = *found;
      bool failed = false;
      for (const std::string& name : operation.spec().nodes()) {
        if (fleet_.snapshot().find<pb::Node>(name) == nullptr) continue;
        pb::Node configured = node(name);
        auto& status = *configured.mutable_status()->mutable_configuration();
        const auto error = errors.find(name);
        status.set_error(error == errors.end() ? "" : error->second);
        if (error == errors.end()) *status.mutable_apply_time() = batch_time(now_);
        failed |= error != errors.end();
        fleet_.put(configured);
      }
      operation.mutable_status()->set_state(failed ? pb::OPERATION_STATE_FAILED
                                                   : pb::OPERATION_STATE_SUCCEEDED);
      *operation.mutable_status()->mutable_start_time() = batch_time(now_);
      *operation.mutable_status()->mutable_end_time() = batch_time(now_);
      fleet_.put(operation);
    }
  }
  void set_health(const std::string& name, pb::Health state, const std::string& reason = {}) {
    pb::Instance instance = *fleet_.snapshot().find<pb::Instance>(name);
    instance.mutable_status()->set_state(state);
    instance.mutable_status()->set_reason(reason);
    *instance.mutable_status()->mutable_since() = batch_time(now_);
    fleet_.put(instance);
  }
  void set_drain(const std::string& name, pb::DrainState state, int64_t sessions = 0) {
    pb::Node changed = node(name);
    changed.mutable_status()->mutable_drain()->set_state(state);
    changed.mutable_status()->mutable_drain()->set_sessions(sessions);
    fleet_.put(changed);
  }

  // "eu-1 2.0"
  Lines versions(const std::string& service = "media") {
    Lines out;
    for (const auto& instance : fleet_.snapshot().find_by<pb::Instance>("service", service))
      out.push_back(instance->spec().node() + " " + instance->spec().version());
    return out;
  }
  // "canary eu: eu-1 done"
  Lines batches(const std::string& name = "media-1") {
    Lines out;
    const pb::Rollout rollout = get(name);
    for (const pb::RolloutBatch& batch : rollout.status().batches()) out.push_back(line(batch));
    return out;
  }
  static std::string line(const pb::RolloutBatch& batch) {
    std::string nodes;
    for (const std::string& each : batch.nodes()) nodes += (nodes.empty() ? "" : ", ") + each;
    return fmt::format("{}{}: {} {}", batch.canary() ? "canary " : "", batch.region(), nodes,
                       word(batch.state()));
  }
  std::string state(const std::string& name = "media-1") {
    return word(get(name).status().state());
  }
  std::string message(const std::string& name = "media-1") { return get(name).status().message(); }
  std::string service_version(const std::string& name = "media") {
    return fleet_.snapshot().find<pb::Service>(name)->spec().version();
  }

  FakeTransaction fleet_;
  WallTime now_ = kBegin;
};

}  // namespace frameworks
