#include "control/store_follower.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace frameworks {
namespace {

constexpr size_t kAtOnce = 1000;
constexpr Duration kTryAgain = std::chrono::seconds(1);

}  // namespace

StoreFollower::StoreFollower(Store& store, std::string name, Begin begin, Take take)
    : store_(store), name_(std::move(name)), begin_(std::move(begin)), take_(std::move(take)) {}

Status StoreFollower::start() { return subscribe(); }

Status StoreFollower::subscribe() {
  const SnapshotPtr snapshot = store_.snapshot();
  ASSIGN_OR_RETURN(subscription_, store_.subscribe(snapshot->revision(), [this] { wake(); }));
  begin_(*snapshot);
  return {};
}

void StoreFollower::catch_up() {
  {
    std::lock_guard lock(mutex_);
    woken_ = std::stop_source();
  }
  if (subscription_ == nullptr) {
    if (const auto again = subscribe(); !again)
      return spdlog::warn("{}: cannot follow the store: {}", name_, again.error().text());
  }
  while (true) {
    const auto changes = subscription_->next(kAtOnce);
    if (!changes) {
      spdlog::warn("{}: start again after {}", name_, changes.error().text());
      subscription_.reset();
      if (const auto again = subscribe(); !again)
        spdlog::warn("{}: cannot follow the store: {}", name_, again.error().text());
      return;
    }
    if (changes->empty()) return;
    for (const Change& change : *changes) take_(change);
  }
}

void StoreFollower::wake() {
  std::lock_guard lock(mutex_);
  woken_.request_stop();
}

bool StoreFollower::wait(Clock& clock, Duration at_most, const std::stop_token& stop) {
  std::stop_token woken;
  {
    std::lock_guard lock(mutex_);
    woken = woken_.get_token();
  }
  const std::stop_callback at_end(stop, [this] { wake(); });
  if (subscription_ == nullptr) at_most = std::min(at_most, kTryAgain);
  (void)clock.sleep_for(at_most, woken);
  return !stop.stop_requested();
}

}  // namespace frameworks
