#include "control/reconciler.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace frameworks {

Reconciler::Reconciler(Clock& clock, Options options, Reconcile reconcile)
    : clock_(clock),
      options_(std::move(options)),
      reconcile_(std::move(reconcile)),
      random_(options_.seed) {}

void Reconciler::start() {
  CHECK(workers_.empty());
  timekeeper_ = std::jthread([this](const std::stop_token& stop) { keep_time(stop); });
  for (int i = 0; i < options_.workers; ++i)
    workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

void Reconciler::stop() {
  for (std::jthread& worker : workers_) worker.request_stop();
  timekeeper_.request_stop();
  {
    std::lock_guard lock(mutex_);
    sleep_.request_stop();
  }
  for (std::jthread& worker : workers_)
    if (worker.joinable()) worker.join();
  if (timekeeper_.joinable()) timekeeper_.join();
}

void Reconciler::enqueue(const std::string& key) {
  std::lock_guard lock(mutex_);
  queue(key, keys_[key]);
}

size_t Reconciler::size() const {
  std::lock_guard lock(mutex_);
  return keys_.size();
}

void Reconciler::queue(const std::string& name, Key& key) {
  unschedule(name, key);
  if (key.is_queued) return;
  key.is_queued = true;
  if (key.is_running) return;  // finish() takes it up
  queue_.push_back(name);
  queued_.notify_one();
}

void Reconciler::schedule(const std::string& name, Key& key, Duration after) {
  key.due = clock_.mono() + std::chrono::duration_cast<MonoTime::duration>(after);
  const bool is_first = retries_.empty() || *key.due < retries_.begin()->first;
  retries_.emplace(*key.due, name);
  if (!is_first) return;
  sleep_.request_stop();
  scheduled_.notify_one();
}

void Reconciler::unschedule(const std::string& name, Key& key) {
  if (!key.due) return;
  retries_.erase({*key.due, name});
  key.due.reset();
}

Duration Reconciler::next_retry(int failures) {
  const int doublings = std::min(failures - 1, 30);
  const Duration full =
      std::min(options_.first_retry * (int64_t{1} << doublings), options_.last_retry);
  // Jitter: many keys that failed together do not all come back together.
  return full - Duration(std::uniform_int_distribution<int64_t>(0, full.count() / 2)(random_));
}

void Reconciler::finish(const std::string& name, const Result<std::optional<Duration>>& result) {
  std::lock_guard lock(mutex_);
  const auto at = keys_.find(name);
  Key& key = at->second;
  key.is_running = false;
  key.failures = result ? 0 : key.failures + 1;
  if (std::exchange(key.is_queued, false)) {
    queue(name, key);
  } else if (!result) {
    const Duration retry = next_retry(key.failures);
    spdlog::warn("{} {}: {} (attempt {}, again in {} ms)", options_.name, name,
                 result.error().message(), key.failures,
                 std::chrono::duration_cast<std::chrono::milliseconds>(retry).count());
    schedule(name, key, retry);
  } else if (*result) {
    schedule(name, key, **result);
  } else {
    keys_.erase(at);
  }
}

void Reconciler::work(const std::stop_token& stop) {
  while (true) {
    std::string name;
    {
      std::unique_lock lock(mutex_);
      if (!queued_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
      if (stop.stop_requested()) return;
      name = std::move(queue_.front());
      queue_.pop_front();
      Key& key = keys_[name];
      key.is_queued = false;
      key.is_running = true;
    }
    finish(name, reconcile_(name, stop));
  }
}

void Reconciler::keep_time(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Duration sleep{};
    std::stop_token interrupted;
    {
      std::unique_lock lock(mutex_);
      if (!scheduled_.wait(lock, stop, [this] { return !retries_.empty(); })) return;
      const MonoTime now = clock_.mono();
      while (!retries_.empty() && retries_.begin()->first <= now) {
        const std::string name = retries_.begin()->second;
        queue(name, keys_[name]);
      }
      if (retries_.empty() || stop.stop_requested()) continue;
      sleep = retries_.begin()->first - now;
      sleep_ = std::stop_source();
      interrupted = sleep_.get_token();
    }
    (void)clock_.sleep_for(sleep, interrupted);
  }
}

}  // namespace frameworks
