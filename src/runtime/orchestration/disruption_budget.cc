#include "runtime/orchestration/disruption_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr int kMostNodes = 1'000'000;

// A whole number from 1 to `most`; 0: it is none.
int parse_count(std::string_view text, int most) {
  int out = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool is_number = failed == std::errc{} && end == text.data() + text.size();
  return is_number && out >= 1 && out <= most ? out : 0;
}

}  // namespace

Result<DisruptionBudget> DisruptionBudget::parse(std::string_view text) {
  DisruptionBudget out{.percent = 0, .nodes = 0};
  for (const std::string& part : split(text, ',')) {
    const bool is_share = part.ends_with('%');
    int& place = is_share ? out.percent : out.nodes;
    const bool is_twice = place != 0;
    place = is_share ? parse_count(part.substr(0, part.size() - 1), 100)
                     : parse_count(part, kMostNodes);
    if (place == 0 || is_twice)
      return Error(Code::kInvalidArgument,
                   fmt::format("disruption budget \"{}\": not a share of 1% to 100%, a number of "
                               "nodes from 1, or both as in 10%,25",
                               text));
  }
  return out;
}

std::string DisruptionBudget::text() const {
  if (nodes == 0) return fmt::format("{}%", percent);
  return percent == 0 ? fmt::format("{}", nodes) : fmt::format("{}%,{}", percent, nodes);
}

int DisruptionBudget::most_of(int fleet) const {
  const int share = static_cast<int>(static_cast<int64_t>(fleet) * percent / 100);
  return std::max({1, nodes, share});
}

}  // namespace frameworks
