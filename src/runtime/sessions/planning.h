// The thread that plans: follows the store, makes anew what a change affects of whose plan, and
// pokes the streams of those who then lack something.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "runtime/sessions/plan_source.h"
#include "runtime/sessions/session_table.h"
#include "store/store.h"

namespace frameworks {

class Planning {
 public:
  // All must outlive it. `on_interval`: see Sessions::Options; may be null.
  using OnInterval = std::function<void(const std::string& node, Duration interval)>;
  Planning(Store& store, Clock& clock, const PlanSource& source, LockedTable& table,
           OnInterval on_interval)
      : store_(store),
        clock_(clock),
        source_(source),
        table_(table),
        on_interval_(std::move(on_interval)) {}
  ~Planning();

  // Looks at every node, then follows the store from there on.
  Status start();
  // There is something in the table's `opened`, or to be retried. Threadsafe.
  void poke();

 private:
  Status plan_everything();
  void follow(const std::stop_token& stop);
  bool plan_changes();
  void plan_opened();
  void plan_nodes(const Snapshot& snapshot, const Affected& nodes, Revision since, WallTime time);
  bool is_to_be_planned(const pb::Node& node, SectionSet sections);
  void want(const std::string& name, NodePlan plan, Revision since, WallTime time);
  void forget_node(const std::string& name);
  void retry_failed();
  void keep_pace();

  Store& store_;
  Clock& clock_;
  const PlanSource& source_;
  LockedTable& table_;
  const OnInterval on_interval_;

  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool woken_ = false;
  std::unique_ptr<Subscription> subscription_;
  std::jthread thread_;
};

}  // namespace frameworks
