#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

const MetricInfo& info_of(std::string_view name) {
  const auto& list = metric_list();
  const auto at = std::find_if(list.begin(), list.end(),
                               [&](const MetricInfo& info) { return info.name == name; });
  CHECK(at != list.end());
  return *at;
}

std::string heading(std::string_view name) {
  const MetricInfo& info = info_of(name);
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, info.help, info.type);
}

std::string_view result_name(size_t code) {
  return code == 0 ? "ok" : code_name(static_cast<Code>(code));
}

// A call's metrics are told a family at a time, as the format wants it.
using Rows = std::vector<std::pair<std::string, CallSeries::Values>>;

std::string requests(const Rows& rows) {
  std::string out = heading("quartermaster_requests_total");
  for (const auto& [labels, values] : rows)
    for (size_t code = 0; code < values.codes.size(); ++code)
      if (values.codes[code] > 0)
        out += fmt::format("quartermaster_requests_total{{{},code=\"{}\"}} {}\n", labels,
                           result_name(code), values.codes[code]);
  return out;
}

std::string durations(const Rows& rows) {
  constexpr std::string_view kName = "quartermaster_request_duration_seconds";
  std::string out = heading(kName);
  for (const auto& [labels, values] : rows) {
    uint64_t count = 0;
    for (size_t i = 0; i < values.buckets.size(); ++i) {
      count += values.buckets[i];
      const std::string bound = i < CallSeries::kBounds.size()
                                    ? fmt::format("{}", CallSeries::kBounds[i] / 1e6)
                                    : std::string("+Inf");
      out += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", kName, labels, bound, count);
    }
    out += fmt::format("{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", kName, labels, values.seconds, kName,
                       labels, count);
  }
  return out;
}

}  // namespace

void CallSeries::end(int code, std::chrono::nanoseconds took, uint64_t bytes) {
  const auto micros = static_cast<uint64_t>(std::max<int64_t>(took.count(), 0)) / 1000;
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), micros) - kBounds.begin();
  codes_[static_cast<size_t>(std::clamp(code, 0, 16))].fetch_add(1, kRelaxed);
  buckets_[static_cast<size_t>(bucket)].fetch_add(1, kRelaxed);
  nanoseconds_.fetch_add(static_cast<uint64_t>(std::max<int64_t>(took.count(), 0)), kRelaxed);
  bytes_.fetch_add(bytes, kRelaxed);
}

CallSeries::Values CallSeries::read() const {
  Values out;
  uint64_t ended = 0;
  for (size_t i = 0; i < codes_.size(); ++i) ended += out.codes[i] = codes_[i].load(kRelaxed);
  for (size_t i = 0; i < buckets_.size(); ++i) out.buckets[i] = buckets_[i].load(kRelaxed);
  out.seconds = static_cast<double>(nanoseconds_.load(kRelaxed)) / 1e9;
  out.bytes = bytes_.load(kRelaxed);
  // A call may end between the two readings.
  const uint64_t begun = begun_.load(kRelaxed);
  out.open = begun > ended ? begun - ended : 0;
  return out;
}

CallSeries& Metrics::series(std::string_view method, std::string_view transport, bool stream) {
  return *series_.with([&](auto& all) {
    auto& entry = all[Key(method, transport)];
    if (entry == nullptr) entry = std::make_unique<Series>();
    entry->stream |= stream;
    return &entry->calls;
  });
}

void Metrics::count_request(std::string_view method, std::string_view transport, int code) {
  CallSeries& calls = series(method, transport);
  calls.begin();
  calls.end(code, {}, 0);
}

void Metrics::add(std::string_view name, std::function<std::vector<Sample>()> read) {
  metrics_.push_back({info_of(name).name, std::move(read)});
}

std::string Metrics::render() const {
  Rows rows;
  std::string open = heading("quartermaster_requests_in_flight");
  std::string watchers = heading("quartermaster_watchers");
  std::string bytes = heading("quartermaster_response_bytes_total");
  series_.with([&](const auto& all) {
    for (const auto& [key, series] : all) {
      const std::string labels =
          fmt::format("method=\"{}\",transport=\"{}\"", key.first, key.second);
      const auto values = series->calls.read();
      if (series->stream)
        watchers += fmt::format("quartermaster_watchers{{{}}} {}\n", labels, values.open);
      else
        open += fmt::format("quartermaster_requests_in_flight{{{}}} {}\n", labels, values.open);
      bytes += fmt::format("quartermaster_response_bytes_total{{{}}} {}\n", labels, values.bytes);
      rows.emplace_back(labels, values);
    }
  });
  // What was never called is only counted as zero.
  std::erase_if(rows, [](const auto& row) {
    return std::all_of(row.second.codes.begin(), row.second.codes.end(),
                       [](uint64_t count) { return count == 0; });
  });
  std::string out = requests(rows) + durations(rows) + open + watchers + bytes;
  for (const Metric& metric : metrics_) {
    out += heading(metric.name);
    for (const Sample& sample : metric.read()) {
      const std::string labels = sample.labels.empty() ? "" : "{" + sample.labels + "}";
      out += fmt::format("{}{} {}\n", metric.name, labels, sample.value);
    }
  }
  return out;
}

}  // namespace frameworks
