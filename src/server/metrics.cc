#include "server/metrics.h"

#include <fmt/format.h>

namespace frameworks {

void Metrics::count_request(std::string_view method, std::string_view transport, int code) {
  const std::string_view result = code == 0 ? "ok" : code_name(static_cast<Code>(code));
  const std::string labels =
      fmt::format("method=\"{}\",transport=\"{}\",code=\"{}\"", method, transport, result);
  requests_.with([&](auto& requests) { ++requests[labels]; });
}

void Metrics::add(std::string name, std::string type, std::string help,
                  std::function<std::vector<Sample>()> read) {
  metrics_.push_back({std::move(name), std::move(type), std::move(help), std::move(read)});
}

std::string Metrics::render() const {
  std::string out =
      "# HELP quartermaster_requests_total Calls of API methods that ended.\n"
      "# TYPE quartermaster_requests_total counter\n";
  for (const auto& [labels, count] : requests_.with([](const auto& requests) { return requests; }))
    out += fmt::format("quartermaster_requests_total{{{}}} {}\n", labels, count);
  for (const Metric& metric : metrics_) {
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", metric.name, metric.help, metric.type);
    for (const Sample& sample : metric.read()) {
      const std::string labels = sample.labels.empty() ? "" : "{" + sample.labels + "}";
      out += fmt::format("{}{} {}\n", metric.name, labels, sample.value);
    }
  }
  return out;
}

}  // namespace frameworks
