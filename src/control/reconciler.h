// The loop that makes the world match: keys in, one idempotent function called per key.
//
// A reconcile takes a key, never an event: it reads what is wanted and what is there, and makes
// them one. Keys that wait coalesce; one key is never reconciled by two threads at once; a key that
// comes while its reconcile runs is reconciled once more. Errors are tried again after a time that
// doubles from `first_retry` to `last_retry`, less a random part of up to a half, until one
// succeeds.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace frameworks {

class Reconciler {
 public:
  // Done (nothing), again after a time, or an error. `stop`: return soon.
  using Reconcile =
      std::function<Result<std::optional<Duration>>(const std::string& key, std::stop_token stop)>;
  struct Options {
    std::string name = "reconciler";  // for logs
    int workers = 1;
    Duration first_retry = std::chrono::milliseconds(100);
    Duration last_retry = std::chrono::seconds(30);
    uint64_t seed = 1;
  };

  Reconciler(Clock& clock, Options options, Reconcile reconcile);
  ~Reconciler() { stop(); }

  void start();
  // Waits for the reconciles that run; what waits is dropped. The end: it does not start again.
  void stop();

  // Threadsafe; also before start() and from within a reconcile.
  void enqueue(const std::string& key);
  // Keys that wait, run, or are to be run again later.
  [[nodiscard]] size_t size() const;

 private:
  struct Key {
    bool is_queued = false;
    bool is_running = false;
    int failures = 0;
    std::optional<MonoTime> due;  // of the retry
  };

  void work(const std::stop_token& stop);
  void keep_time(const std::stop_token& stop);
  void finish(const std::string& key, const Result<std::optional<Duration>>& result);
  // With the lock held.
  void queue(const std::string& name, Key& key);
  void schedule(const std::string& name, Key& key, Duration after);
  void unschedule(const std::string& name, Key& key);
  Duration next_retry(int failures);

  Clock& clock_;
  const Options options_;
  const Reconcile reconcile_;

  mutable std::mutex mutex_;
  std::condition_variable_any queued_;
  std::condition_variable_any scheduled_;
  std::map<std::string, Key> keys_;
  std::deque<std::string> queue_;  // in order of arrival
  std::set<std::pair<MonoTime, std::string>> retries_;
  std::stop_source sleep_;  // wakes the timekeeper when an earlier retry comes
  std::mt19937_64 random_;

  std::jthread timekeeper_;
  std::vector<std::jthread> workers_;
};

}  // namespace frameworks
