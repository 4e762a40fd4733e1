#include "machine/network_security/firewall_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/network.pb.h"
#include "machine/network_security/consumers.h"
#include "machine/network_security/ruleset.h"

namespace frameworks {
namespace {

constexpr int kDefaultSshPort = 22;
constexpr int kDefaultWireguardPort = 51820;
constexpr int kDefaultPriority = 100;

bool has_tier(const pb::Placement& placement, pb::Tier tier) {
  return placement.tiers().empty() || std::find(placement.tiers().begin(), placement.tiers().end(),
                                                tier) != placement.tiers().end();
}

template <typename List>
bool names_or_empty(const List& list, const std::string& name) {
  return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
}

bool covers(const pb::Placement& target, const pb::Cluster& cluster) {
  return has_tier(target, cluster.spec().tier()) &&
         names_or_empty(target.regions(), cluster.spec().region()) &&
         names_or_empty(target.clusters(), cluster.metadata().name());
}

std::string_view protocol_word(pb::Protocol protocol) {
  return protocol == pb::PROTOCOL_UDP ? "udp" : "tcp";
}

int priority(const pb::FirewallRule& rule) {
  return rule.spec().priority() != 0 ? rule.spec().priority() : kDefaultPriority;
}

bool drops(const pb::FirewallRule& rule) {
  return rule.spec().action() == pb::FIREWALL_ACTION_DROP;
}

// Lower numbers first; drops before accepts of the same number; then by name.
bool comes_before(const std::shared_ptr<const pb::FirewallRule>& a,
                  const std::shared_ptr<const pb::FirewallRule>& b) {
  return std::tuple(priority(*a), !drops(*a), a->metadata().name()) <
         std::tuple(priority(*b), !drops(*b), b->metadata().name());
}

void add_operator_rule(const pb::FirewallRule& rule, Ruleset& out) {
  AddressList sources;
  for (const std::string& source : rule.spec().sources())
    if (const auto cidr = Cidr::parse(source); cidr) sources.add(*cidr);
  Match match{.protocol = std::string(protocol_word(rule.spec().protocol()))};
  match.ports.assign(rule.spec().ports().begin(), rule.spec().ports().end());
  const auto verdict = drops(rule) ? Verdict::kDrop : Verdict::kAccept;
  const std::string comment = "FirewallRule/" + rule.metadata().name();
  if (rule.spec().sources().empty()) {
    out.input(match, verdict, comment);
  } else {
    out.input_from("sources_" + rule.metadata().name(), sources, match, verdict, comment);
  }
}

void add_operator_rules(const Snapshot& snapshot, const pb::Cluster& cluster, Ruleset& out) {
  auto rules = snapshot.list<pb::FirewallRule>();
  std::erase_if(rules, [&](const auto& rule) { return !covers(rule->spec().target(), cluster); });
  std::sort(rules.begin(), rules.end(), comes_before);
  for (const auto& rule : rules) add_operator_rule(*rule, out);
}

void add_service(const Snapshot& snapshot, const pb::Service& service, Ruleset& out) {
  const AddressList consumers = consumer_addresses(snapshot, service);
  for (const pb::Port& port : service.spec().ports()) {
    Match match{.protocol = std::string(protocol_word(port.protocol())), .ports = {port.port()}};
    const std::string comment = service.metadata().name() + "/" + port.name();
    if (port.exposure() == pb::EXPOSURE_PUBLIC) {
      out.input(match, Verdict::kAccept, comment);
    } else if (port.exposure() != pb::EXPOSURE_NODE) {
      match.interface = kMeshInterface;
      out.input_from("consumers_" + service.metadata().name(), consumers, match, Verdict::kAccept,
                     comment);
    }
  }
}

}  // namespace

pb::FirewallSection plan_firewall(const Snapshot& snapshot, const pb::Node& node) {
  Ruleset rules;
  const auto& spec = node.spec();
  const auto* cluster = snapshot.find<pb::Cluster>(spec.cluster());
  if (cluster != nullptr) add_operator_rules(snapshot, *cluster, rules);
  const int ssh = spec.ssh_port() != 0 ? spec.ssh_port() : kDefaultSshPort;
  const int wireguard = spec.wireguard_port() != 0 ? spec.wireguard_port() : kDefaultWireguardPort;
  rules.input({.protocol = "tcp", .ports = {ssh}}, Verdict::kAccept, "ssh");
  rules.input({.protocol = "udp", .ports = {wireguard}}, Verdict::kAccept, "wireguard");
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name()))
    if (const auto* service = snapshot.find<pb::Service>(instance->spec().service());
        service != nullptr)
      add_service(snapshot, *service, rules);
  const bool gateway = cluster != nullptr && (cluster->spec().tier() == pb::TIER_CENTRAL ||
                                              cluster->spec().tier() == pb::TIER_REGIONAL);
  if (gateway) rules.forward_within_mesh();
  pb::FirewallSection section;
  section.set_ruleset(rules.text());
  return section;
}

namespace {

using Lines = std::set<std::string>;

// The lines of rulesets that say something by themselves. Nodes of a cluster that run the same
// services have the same: it is made once.
class Statements {
 public:
  explicit Statements(const Snapshot& snapshot) : snapshot_(snapshot) {}
  // Nothing for a node that is not there.
  const Lines& of(const pb::Node* node) {
    static const Lines kNone;
    if (node == nullptr) return kNone;
    const pb::NodeSpec& spec = node->spec();
    std::string key =
        fmt::format("{} {} {}", spec.cluster(), spec.ssh_port(), spec.wireguard_port());
    for (const auto& instance : snapshot_.find_by<pb::Instance>("node", node->metadata().name()))
      key += ' ' + instance->spec().service();
    const auto [at, first] = lines_.try_emplace(std::move(key));
    if (first) at->second = lines_of(plan_firewall(snapshot_, *node).ruleset());
    return at->second;
  }

 private:
  static Lines lines_of(const std::string& ruleset) {
    Lines out;
    for (size_t begin = 0; begin < ruleset.size();) {
      const size_t end = std::min(ruleset.find('\n', begin), ruleset.size());
      const std::string line = ruleset.substr(begin, end - begin);
      if (line.starts_with("\t\t")) out.insert(line.substr(2));
      begin = end + 1;
    }
    return out;
  }

  const Snapshot& snapshot_;
  std::map<std::string, Lines> lines_;  // by all that a ruleset follows from
};

// In order of name; those that go take their filter with them.
std::vector<const pb::Node*> nodes_of(const Snapshot& snapshot, const std::set<std::string>* only) {
  std::vector<const pb::Node*> out;
  if (only == nullptr)
    for (const auto& node : snapshot.list<pb::Node>())
      out.push_back(snapshot.find<pb::Node>(node->metadata().name()));
  else
    for (const std::string& name : *only)
      if (const auto* node = snapshot.find<pb::Node>(name)) out.push_back(node);
  return out;
}

int missing_from(const std::set<std::string>& these, const std::set<std::string>& those) {
  if (those.empty()) return static_cast<int>(these.size());
  return static_cast<int>(std::count_if(these.begin(), these.end(),
                                        [&](const auto& line) { return !those.contains(line); }));
}

}  // namespace

std::vector<pb::PlanStep> explain_firewall(const Snapshot& before, const Snapshot& after,
                                           const std::set<std::string>* only) {
  Statements old_statements(before);
  Statements new_statements(after);
  std::vector<pb::PlanStep> steps;
  for (const pb::Node* node : nodes_of(after, only)) {
    const std::string& name = node->metadata().name();
    const auto* was = before.find<pb::Node>(name);
    const Lines& old_lines = old_statements.of(was);
    const Lines& new_lines = new_statements.of(node);
    const int added = missing_from(new_lines, old_lines);
    const int removed = missing_from(old_lines, new_lines);
    if (added == 0 && removed == 0) continue;
    pb::PlanStep& step = steps.emplace_back();
    step.set_layer("machine");
    step.set_action(was == nullptr ? "create" : "update");
    step.set_object("Node/" + name);
    step.set_summary(fmt::format("firewall: {} {} to add, {} to remove", added,
                                 added == 1 ? "rule" : "rules", removed));
    if (was == nullptr) continue;  // all of it is new: the count says enough
    for (const std::string& line : new_lines)
      if (!old_lines.contains(line))
        step.add_changes()->set_after("\"" + json_escaped(line) + "\"");
    for (const std::string& line : old_lines)
      if (!new_lines.contains(line))
        step.add_changes()->set_before("\"" + json_escaped(line) + "\"");
    for (pb::FieldChange& change : *step.mutable_changes()) change.set_field("ruleset");
  }
  return steps;
}

}  // namespace frameworks
