#include "cli/plan_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

namespace frameworks::cli {
namespace {

// The last one is for steps of none of the others.
constexpr std::array<std::string_view, 5> kLayers = {"model", "machine", "config", "runtime",
                                                     "other"};

struct Sign {
  std::string_view text;
  Colour colour;
};

Sign sign_of(std::string_view action) {
  if (action == "create") return {"+", Colour::kGreen};
  if (action == "delete") return {"-", Colour::kRed};
  if (action == "update") return {"~", Colour::kYellow};
  return {"*", Colour::kBlue};
}

void append_step(const pb::PlanStep& step, const Terminal& terminal, size_t width, Detail detail,
                 std::string& out) {
  const Sign sign = sign_of(step.action());
  const std::string& action = step.action();
  out += "  ";
  out += terminal.paint(sign.colour, sign.text);
  out += ' ';
  out += step.object();
  const size_t used = display_width(step.object());
  out.append(2 + (used < width ? width - used : 0), ' ');
  out += action;
  // "create Tenant/acme" says no more than what stands before it.
  const std::string& summary = step.summary();
  if (!summary.empty() && summary != action + " " + step.object()) {
    constexpr size_t kActions = 9;
    out.append(2 + (action.size() < kActions ? kActions - action.size() : 0), ' ');
    out += summary;
  }
  out += '\n';
  const bool whole = action == "create" || action == "delete";
  if (whole && detail != Detail::kEverything) return;
  for (const pb::FieldChange& change : step.changes()) {
    out += "      " + change.field() + ": ";
    if (!change.before().empty()) out += terminal.paint(Colour::kRed, change.before());
    if (!change.before().empty() && !change.after().empty()) out += " -> ";
    if (change.before().empty()) out += "set to ";
    out += change.after().empty() ? std::string(" removed")
                                  : terminal.paint(Colour::kGreen, change.after());
    out += '\n';
  }
}

template <typename Names>
std::string touched(const Names& names, std::string_view what) {
  constexpr int kNamed = 6;
  std::string out = fmt::format("{} {}{}", names.size(), what, names.size() == 1 ? "" : "s");
  for (int i = 0; i < std::min(names.size(), kNamed); ++i) out += (i == 0 ? " (" : ", ") + names[i];
  if (names.size() > kNamed) out += fmt::format(" and {} more", names.size() - kNamed);
  return names.empty() ? out : out + ")";
}

}  // namespace

void print_plan(const pb::Plan& plan, const Terminal& terminal, Detail detail) {
  if (plan.steps().empty()) {
    terminal.out << fmt::format("nothing to change: the fleet is at revision {}\n",
                                plan.revision());
    return;
  }
  // Steps by layer, in the order of the plan.
  std::array<std::vector<const pb::PlanStep*>, kLayers.size()> layers;
  size_t width = 0;
  for (const pb::PlanStep& step : plan.steps()) {
    const auto at = std::find(kLayers.begin(), kLayers.end() - 1, step.layer());
    layers[static_cast<size_t>(at - kLayers.begin())].push_back(&step);
    width = std::max(width, display_width(step.object()));
  }
  constexpr size_t kChunk = 1 << 20;
  std::string counts;
  std::string out;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].empty()) continue;
    out += terminal.paint(Colour::kBold, kLayers[i]) + "\n";
    std::map<std::string_view, int> actions;
    for (const pb::PlanStep* step : layers[i]) {
      ++actions[step->action()];
      append_step(*step, terminal, std::min<size_t>(width, 48), detail, out);
      if (out.size() < kChunk) continue;
      terminal.out << out;
      out.clear();
    }
    counts += fmt::format("{}{}", counts.empty() ? "" : "; ", kLayers[i]);
    bool first = true;
    for (const auto& [action, count] : actions)
      counts += fmt::format("{}{} to {}", std::exchange(first, false) ? ": " : ", ", count, action);
  }
  terminal.out << out;
  terminal.out << "\n" << counts << "\n";
  const pb::BlastRadius& blast = plan.blast_radius();
  terminal.out << "touches " << touched(blast.clusters(), "cluster") << ", "
               << touched(blast.nodes(), "node") << ", " << touched(blast.tenants(), "tenant")
               << "\n";
}

}  // namespace frameworks::cli
