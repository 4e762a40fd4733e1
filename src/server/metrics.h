// The server's figures in Prometheus' text exposition format 0.0.4. Every metric is declared in
// metric_list(), from which docs/reference/metrics.md is made.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/locked.h"

namespace frameworks {

// Calls of one method by one transport. Threadsafe, without a lock: a call costs a few additions.
class CallSeries {
 public:
  // Upper bounds of the histogram's buckets, in microseconds; one more without a bound.
  static constexpr std::array<uint32_t, 14> kBounds = {
      100,    250,    500,     1'000,   2'500,     5'000,     10'000,
      25'000, 50'000, 100'000, 250'000, 1'000'000, 2'500'000, 10'000'000};

  void begin() { begun_.fetch_add(1, std::memory_order_relaxed); }
  // `code` 0: well. `bytes`: of the answer.
  void end(int code, std::chrono::nanoseconds took, uint64_t bytes);

  struct Values {
    std::array<uint64_t, 17> codes{};
    std::array<uint64_t, kBounds.size() + 1> buckets{};
    double seconds = 0;
    uint64_t bytes = 0;
    uint64_t open = 0;
  };
  [[nodiscard]] Values read() const;

 private:
  // Apart from other series: two threads that count different methods share no cache line.
  alignas(64) std::atomic<uint64_t> begun_{0};
  std::array<std::atomic<uint64_t>, 17> codes_{};
  std::array<std::atomic<uint64_t>, kBounds.size() + 1> buckets_{};
  std::atomic<uint64_t> nanoseconds_{0};
  std::atomic<uint64_t> bytes_{0};
};

// Threadsafe.
class Metrics {
 public:
  struct Sample {
    std::string labels;  // e.g. state="healthy"; empty: none
    double value = 0;
  };

  // The series of a method and a transport ("grpc", "rest"); `stream` tells watchers from calls.
  // Takes a lock: ask once, and keep it; it lives as long as this object.
  CallSeries& series(std::string_view method, std::string_view transport, bool stream = false);
  // One call that ended, counted by name.
  void count_request(std::string_view method, std::string_view transport, int code);

  // A metric that is read when asked for, under its name in metric_list(). Before the first
  // render() only.
  void add(std::string_view name, std::function<std::vector<Sample>()> read);

  [[nodiscard]] std::string render() const;

 private:
  struct Series {
    bool stream = false;
    CallSeries calls;
  };
  struct Metric {
    std::string_view name;
    std::function<std::vector<Sample>()> read;
  };
  using Key = std::pair<std::string, std::string>;  // method, transport
  std::vector<Metric> metrics_;
  Locked<std::map<Key, std::unique_ptr<Series>>> series_;
};

struct MetricInfo {
  std::string_view name;
  std::string_view type;    // counter, gauge or histogram
  std::string_view labels;  // "method, transport"; empty: none
  std::string_view help;
};
// Every metric there is, by name.
const std::vector<MetricInfo>& metric_list();
// The page docs/reference/metrics.md.
std::string metrics_page();

}  // namespace frameworks
