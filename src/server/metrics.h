// Counters of the server in Prometheus' text exposition format 0.0.4.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/locked.h"

namespace frameworks {

// Threadsafe.
class Metrics {
 public:
  struct Sample {
    std::string labels;  // e.g. state="healthy"; empty: none
    double value = 0;
  };

  // A call of an API method ended; `code` 0: well.
  void count_request(std::string_view method, std::string_view transport, int code);

  // A metric that is read when asked for. Type "gauge" or "counter". Before the first render()
  // only.
  void add(std::string name, std::string type, std::string help,
           std::function<std::vector<Sample>()> read);

  [[nodiscard]] std::string render() const;

 private:
  struct Metric {
    std::string name;
    std::string type;
    std::string help;
    std::function<std::vector<Sample>()> read;
  };
  std::vector<Metric> metrics_;
  Locked<std::map<std::string, uint64_t, std::less<>>> requests_;  // by labels
};

}  // namespace frameworks
