#include "cli/plan_text.h"

#include <fmt/format.h>

#include <array>
#include <map>

namespace frameworks::cli {
namespace {

constexpr std::array<std::string_view, 4> kLayers = {"model", "machine", "config", "runtime"};

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

void print_step(const pb::PlanStep& step, const Terminal& terminal, size_t width, Detail detail) {
  const Sign sign = sign_of(step.action());
  terminal.out << "  " << terminal.paint(sign.colour, sign.text) << " " << pad(step.object(), width)
               << "  ";
  // "create Tenant/acme" says no more than what stands before it.
  if (step.summary().empty() || step.summary() == step.action() + " " + step.object())
    terminal.out << step.action();
  else
    terminal.out << pad(step.action(), 9) << "  " << step.summary();
  terminal.out << "\n";
  const bool whole = step.action() == "create" || step.action() == "delete";
  if (whole && detail != Detail::kEverything) return;
  for (const pb::FieldChange& change : step.changes()) {
    terminal.out << "      " << change.field() << ": ";
    if (!change.before().empty()) terminal.out << terminal.paint(Colour::kRed, change.before());
    if (!change.before().empty() && !change.after().empty()) terminal.out << " -> ";
    if (change.before().empty()) terminal.out << "set to ";
    if (change.after().empty())
      terminal.out << " removed";
    else
      terminal.out << terminal.paint(Colour::kGreen, change.after());
    terminal.out << "\n";
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
  size_t width = 0;
  for (const pb::PlanStep& step : plan.steps())
    width = std::max(width, display_width(step.object()));
  std::string counts;
  const auto print_layer = [&](std::string_view layer, auto belongs) {
    std::map<std::string, int> actions;
    for (const pb::PlanStep& step : plan.steps()) {
      if (!belongs(step)) continue;
      if (actions.empty()) terminal.out << terminal.paint(Colour::kBold, layer) << "\n";
      ++actions[step.action()];
      print_step(step, terminal, std::min<size_t>(width, 48), detail);
    }
    if (actions.empty()) return;
    counts += fmt::format("{}{}", counts.empty() ? "" : "; ", layer);
    bool first = true;
    for (const auto& [action, count] : actions)
      counts += fmt::format("{}{} to {}", std::exchange(first, false) ? ": " : ", ", count, action);
  };
  for (const std::string_view layer : kLayers)
    print_layer(layer, [&](const pb::PlanStep& step) { return step.layer() == layer; });
  print_layer("other", [&](const pb::PlanStep& step) {
    return std::find(kLayers.begin(), kLayers.end(), step.layer()) == kLayers.end();
  });
  terminal.out << "\n" << counts << "\n";
  const pb::BlastRadius& blast = plan.blast_radius();
  terminal.out << "touches " << touched(blast.clusters(), "cluster") << ", "
               << touched(blast.nodes(), "node") << ", " << touched(blast.tenants(), "tenant")
               << "\n";
}

}  // namespace frameworks::cli
