// A packet filter rule beyond those that follow from services. Written by operators.
#include <fmt/format.h>

#include <set>

#include "frameworks/v1/network.pb.h"
#include "model/kinds.h"
#include "model/rules.h"
#include "model/words.h"

namespace frameworks {
namespace {

void defaults(pb::FirewallRule& rule) {
  pb::FirewallRuleSpec& spec = *rule.mutable_spec();
  if (spec.action() == pb::FIREWALL_ACTION_UNSPECIFIED) spec.set_action(pb::FIREWALL_ACTION_ACCEPT);
  if (spec.protocol() == pb::PROTOCOL_UNSPECIFIED) spec.set_protocol(pb::PROTOCOL_TCP);
  if (spec.priority() == 0) spec.set_priority(100);
}

void validate(const pb::FirewallRule& rule, Validation& out) {
  check_placement(rule.spec().target(), "spec.target", out);
  std::set<int> seen;
  for (int i = 0; i < rule.spec().ports_size(); ++i)
    if (!seen.insert(rule.spec().ports(i)).second)
      out.fail(fmt::format("spec.ports[{}]", i),
               fmt::format("port {} is named twice: remove one", rule.spec().ports(i)));
}

std::string ports(const pb::FirewallRule& rule) {
  std::vector<std::string> out;
  for (const int port : rule.spec().ports()) out.push_back(std::to_string(port));
  return out.empty() ? "all" : list_text(out);
}

std::string sources(const pb::FirewallRule& rule) {
  return rule.spec().sources().empty() ? "anywhere" : list_text(rule.spec().sources());
}

}  // namespace

Kind firewall_rule_kind() {
  return make_kind<pb::FirewallRule>({
      .defaults = defaults,
      .validate = validate,
      .columns = {{"NAME", [](const auto& r) { return r.metadata().name(); }},
                  {"PRIORITY", [](const auto& r) { return std::to_string(r.spec().priority()); }},
                  {"ACTION", [](const auto& r) { return word(r.spec().action()); }},
                  {"PROTOCOL", [](const auto& r) { return word(r.spec().protocol()); }},
                  {"PORTS", ports},
                  {"SOURCES", sources},
                  {"TARGET", [](const auto& r) { return placement_text(r.spec().target()); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
