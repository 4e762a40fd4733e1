// What a benchmark program prints: one JSON object a figure, beside its baseline of the same job.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace frameworks::bench {

struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  std::string aim;  // for people, e.g. "ratio >= 0.5"
  bool met = false;
  double baseline = 0;
  std::string baseline_name;
};

inline void print(const Figure& figure) {
  fmt::print(
      "{{\"name\": \"{}\", \"value\": {:.6g}, \"unit\": \"{}\", \"aim\": \"{}\", \"met\": {}, "
      "\"baseline\": {:.6g}, \"baseline_name\": \"{}\", \"ratio\": {:.4g}}}\n",
      figure.name, figure.value, figure.unit, figure.aim, figure.met, figure.baseline,
      figure.baseline_name, figure.value / figure.baseline);
  std::fflush(stdout);
}

// Progress goes to standard error, figures to standard output.
inline void say(const std::string& text) { fmt::print(stderr, "{}\n", text); }

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <typename Work>
double seconds(Work work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace frameworks::bench
