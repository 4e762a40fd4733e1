#include "runtime/inventory/inventory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <map>

#include "runtime/inventory/ansible.h"
#include "runtime/inventory/host_text.h"
#include "runtime/inventory/hosts.h"

namespace frameworks {
namespace {

namespace json = boost::json;

// A host that Ansible can reach.
bool is_host(const pb::Node& node) { return !node.spec().address().empty(); }

json::object object_of(const std::string& text) {
  // What services are configured with may be nested as deeply as fleet files are.
  json::parse_options options;
  options.max_depth = 1000;
  return json::parse(text, {}, options).as_object();
}

std::string changes_text(HostTexts& before, const pb::Node* old_node, HostTexts& after,
                         const pb::Node& node) {
  const HostTexts::Services& now = after.services(node);
  std::vector<std::string> parts;
  if (old_node == nullptr || node.status().configuration().version().empty()) {
    parts.emplace_back("install base");
    parts.emplace_back("agent");
    for (const auto& [name, text] : now) parts.push_back(name);
    return fmt::format("{}", fmt::join(parts, ", "));
  }
  const HostTexts::Services& was = before.services(*old_node);
  for (const auto& [name, text] : now) {
    const auto old_one = was.find(name);
    if (old_one == was.end()) parts.push_back("add " + name);
    if (old_one != was.end() && old_one->second != text) parts.push_back("change " + name);
  }
  for (const auto& [name, text] : was)
    if (!now.contains(name)) parts.push_back("remove " + name);
  if (parts.empty()) parts.emplace_back("bring up to date");
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::string group_name(std::string_view sort, std::string_view name) {
  std::string group = fmt::format("{}_{}", sort, name);
  std::replace_if(
      group.begin(), group.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return group;
}

json::object inventory_json(const Snapshot& snapshot) {
  return object_of(ansible_text(snapshot, *select_hosts(snapshot, {}), {}));
}

json::object inventory_json(const Snapshot& snapshot, const std::vector<std::string>& names) {
  return object_of(ansible_text(snapshot, hosts_named(snapshot, names), {}));
}

json::object host_json(const Snapshot& snapshot, const pb::Node& node) {
  return object_of(HostTexts(snapshot).text(node));
}

std::string host_version(const Snapshot& snapshot, const pb::Node& node) {
  return HostTexts(snapshot).version(node);
}

std::vector<pb::PlanStep> explain_configuration(const Snapshot& before, const Snapshot& after,
                                                const std::set<std::string>* only) {
  HostTexts old_texts(before);
  HostTexts new_texts(after);
  std::vector<pb::PlanStep> steps;
  for (const auto& node : after.list<pb::Node>()) {
    if (!is_host(*node)) continue;
    const std::string& name = node->metadata().name();
    const auto* old_node = before.find<pb::Node>(name);
    const pb::ConfigurationStatus& configuration = node->status().configuration();
    // Hashes are for those that may be up to date.
    const bool never = configuration.version().empty() || !configuration.error().empty();
    const std::string version = never ? std::string() : new_texts.version(*node);
    const bool behind = never || configuration.version() != version;
    const bool may_differ = only == nullptr || only->contains(name);
    const bool same =
        !may_differ || (old_node != nullptr && old_texts.version(*old_node) == version);
    if (!behind && same) continue;
    pb::PlanStep& step = steps.emplace_back();
    step.set_layer("config");
    step.set_action("configure");
    step.set_object(name);
    step.set_summary(
        fmt::format("configure {}: {}", name, changes_text(old_texts, old_node, new_texts, *node)));
  }
  return steps;
}

}  // namespace frameworks
