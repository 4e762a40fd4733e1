// Follows the store's changes: begins with a snapshot, takes each change after it once and in
// order, and begins again where changes are no longer known.
//
//   StoreFollower follower(store, "tenants", begin, take);
//   RETURN_IF_ERROR(follower.start());
//   do follower.catch_up(); while (follower.wait(clock, tick, stop));
//
// For one thread. The store outlives it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "store/store.h"

namespace frameworks {

class StoreFollower {
 public:
  // All is as in the snapshot: what was known before is forgotten.
  using Begin = std::function<void(const Snapshot&)>;
  using Take = std::function<void(const Change&)>;

  // `name` is for logs. Neither function may use the follower.
  StoreFollower(Store& store, std::string name, Begin begin, Take take);

  // Begins. The error is the store's.
  Status start();
  // Takes all that is new by now. What fails is logged, and tried again the next time.
  void catch_up();
  // Until there is something new, or for so long at most; false: stop. While the store cannot be
  // followed it is a second at most.
  bool wait(Clock& clock, Duration at_most, const std::stop_token& stop);

 private:
  Status subscribe();
  void wake();

  Store& store_;
  const std::string name_;
  const Begin begin_;
  const Take take_;
  std::mutex mutex_;
  std::stop_source woken_;  // requested: there is something new since catch_up() began
  // Null: it is to begin again. The last member: no poke comes when the others are gone.
  std::unique_ptr<Subscription> subscription_;
};

}  // namespace frameworks
