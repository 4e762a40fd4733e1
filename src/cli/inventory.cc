#include <boost/json.hpp>
#include <functional>
#include <vector>

#include "cli/commands.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

namespace json = boost::json;

struct Options {
  std::string host;
  bool list = false;
  bool graph = false;
  std::string format = "ansible";
  std::vector<std::string> tiers;
  std::vector<std::string> regions;
  std::vector<std::string> clusters;
  std::vector<std::string> services;
  std::vector<std::string> tenants;
  std::vector<std::string> states;
};

std::vector<std::string> words_of(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> out;
  for (int i = 1; i < type.value_count(); ++i) out.push_back(enum_word(*type.value(i)));
  return out;
}

// A word of the enumeration, which CLI11 has checked.
template <typename E>
E value_of(const std::string& word) {
  return static_cast<E>(find_enum(*google::protobuf::GetEnumDescriptor<E>(), word)->number());
}

pb::InventoryFilter filter_of(const Options& options) {
  pb::InventoryFilter out;
  for (const auto& each : options.tiers) out.add_tiers(value_of<pb::Tier>(each));
  for (const auto& each : options.states) out.add_states(value_of<pb::Health>(each));
  *out.mutable_regions() = {options.regions.begin(), options.regions.end()};
  *out.mutable_clusters() = {options.clusters.begin(), options.clusters.end()};
  *out.mutable_services() = {options.services.begin(), options.services.end()};
  *out.mutable_tenants() = {options.tenants.begin(), options.tenants.end()};
  return out;
}

// As `ansible-inventory --graph` draws it.
void print_graph(const json::object& inventory, std::ostream& out) {
  out << "@all:\n  |--@ungrouped:\n";
  for (const json::value& group : inventory.at("all").at("children").as_array()) {
    out << "  |--@" << std::string_view(group.as_string()) << ":\n";
    for (const json::value& host : inventory.at(group.as_string()).at("hosts").as_array())
      out << "  |  |--" << std::string_view(host.as_string()) << "\n";
  }
}

Result<int> print_host(const Context& context, Client& client, const std::string& host) {
  pb::GetInventoryRequest request;
  request.set_host(host);
  ASSIGN_OR_RETURN(const pb::GetInventoryResponse response,
                   client.call(client.inventory(), &pb::Inventory::StubInterface::Get, request));
  context.terminal.out << pretty_json(to_json(response.inventory())) << "\n";
  return kExitOk;
}

Result<int> print_inventory(const Context& context, const Options& options) {
  ASSIGN_OR_RETURN(const auto client, context.connect());
  if (!options.host.empty()) return print_host(context, *client, options.host);
  pb::ExportInventoryRequest request;
  request.set_format(value_of<pb::InventoryFormat>(options.format));
  *request.mutable_filter() = filter_of(options);
  ASSIGN_OR_RETURN(
      const pb::ExportInventoryResponse response,
      client->call(client->inventory(), &pb::Inventory::StubInterface::Export, request));
  if (!options.graph) {
    context.terminal.out << response.body();
    if (!response.body().ends_with('\n')) context.terminal.out << "\n";
    return kExitOk;
  }
  ASSIGN_OR_RETURN(const json::value inventory, parse_json(response.body()));
  print_graph(inventory.as_object(), context.terminal.out);
  return kExitOk;
}

void add_filters(CLI::App& app, const std::shared_ptr<Options>& options) {
  app.add_option("--tier", options->tiers, "Only nodes of this tier")
      ->check(CLI::IsMember(words_of(*pb::Tier_descriptor())));
  app.add_option("--region", options->regions, "Only nodes of this region");
  app.add_option("--cluster", options->clusters, "Only nodes of this cluster");
  app.add_option("--service", options->services, "Only nodes that run this service");
  app.add_option("--tenant", options->tenants, "Only nodes of clusters that this tenant may use");
  app.add_option("--state", options->states, "Only nodes in this state of health")
      ->check(CLI::IsMember(words_of(*pb::Health_descriptor())));
}

}  // namespace

Command inventory_command() {
  return {
      .name = "inventory",
      .summary = "Print the fleet for Ansible, Prometheus, ssh, hosts files or spreadsheets",
      .help =
          "The forms, each as of a revision that is told:\n"
          "  ansible     what Ansible's inventory scripts print for --list, with _meta; all hosts "
          "have\n"
          "              the variable frameworks_revision. --host and --graph tell the same\n"
          "  prometheus  HTTP service discovery: a target for each TCP port of each instance; with "
          "--service\n"
          "              of that service's only\n"
          "  ssh         ssh_config(5) with the machines' host keys, for ssh -F\n"
          "  hosts       hosts(5): names inside the mesh\n"
          "  csv         RFC 4180, a line a node\n"
          "Every form has nodes in every state, also drained ones and those that are down: --state "
          "chooses.\nA filter that is given several times admits what one of them admits.",
      .examples = {{"inventory --list > inventory.json", "the whole fleet, for Ansible"},
                   {"inventory --host core-1", "one host's variables"},
                   {"inventory --graph", "groups and their hosts"},
                   {"inventory --format ssh > fleet.ssh", "then: ssh -F fleet.ssh core-1"},
                   {"inventory --format csv --tier edge --state down", "edges that are down"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        auto* host = app.add_option("--host", options->host, "Only this host's variables");
        auto* list = app.add_flag("--list", options->list,
                                  "The whole inventory; what Ansible asks scripts for");
        auto* graph = app.add_flag("--graph", options->graph, "Groups and their hosts as a tree");
        auto* format = app.add_option("--format", options->format, "The form")
                           ->check(CLI::IsMember(words_of(*pb::InventoryFormat_descriptor())))
                           ->capture_default_str();
        host->excludes(list)->excludes(graph)->excludes(format);
        graph->excludes(list)->excludes(format);
        add_filters(app, options);
        return [options](Context& context) { return print_inventory(context, *options); };
      },
  };
}

}  // namespace frameworks::cli
