#include <fmt/format.h>

#include <sstream>

#include "cli/commands.h"
#include "cli/resources.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

void print_section(const Terminal& terminal, std::string_view title,
                   const boost::json::value* value) {
  if (value == nullptr || !value->is_object() || value->get_object().empty()) return;
  terminal.out << terminal.paint(Colour::kBold, title) << "\n";
  std::istringstream lines(yaml_text(*value));
  for (std::string line; std::getline(lines, line);) terminal.out << "  " << line << "\n";
}

// Resources that belong to the one described: by which kind, and which of them.
struct Related {
  const Kind* kind;
  std::function<bool(const Resource&)> belongs;
};

template <typename T>
Related related(std::function<std::string(const T&)> field, const std::string& name) {
  return {&kind_of<T>(), [field = std::move(field), name](const Resource& resource) {
            return field(resource.as<T>()) == name;
          }};
}

std::vector<Related> related_to(const Resource& resource) {
  const std::string& kind = resource.kind().name;
  const std::string& name = resource.name();
  if (kind == "Node")
    return {related<pb::Instance>([](const auto& i) { return i.spec().node(); }, name)};
  if (kind == "Service")
    return {related<pb::Instance>([](const auto& i) { return i.spec().service(); }, name)};
  if (kind == "Tenant")
    return {related<pb::Grant>([](const auto& g) { return g.metadata().tenant(); }, name)};
  if (kind == "Cluster")
    return {related<pb::MachinePool>([](const auto& p) { return p.spec().cluster(); }, name),
            related<pb::Node>([](const auto& n) { return n.spec().cluster(); }, name),
            related<pb::Grant>([](const auto& g) { return g.spec().cluster(); }, name)};
  if (kind == "MachinePool")
    return {related<pb::Node>([](const auto& n) { return n.spec().pool(); }, name)};
  return {};
}

Status print_related(const Context& context, Client& client, const Related& related) {
  ASSIGN_OR_RETURN(const Listing all, list_resources(client, *related.kind, {}));
  std::vector<Resource> found;
  for (const Resource& each : all.resources)
    if (related.belongs(each)) found.push_back(each);
  if (found.empty()) return {};
  context.terminal.out << context.terminal.paint(Colour::kBold, related.kind->plural) << "\n";
  make_table(*related.kind, found, context.clock.wall()).print(context.terminal, "  ");
  return {};
}

void print_resource(const Context& context, const Resource& resource) {
  const Terminal& terminal = context.terminal;
  const pb::Metadata& metadata = resource.metadata();
  terminal.out << terminal.paint(Colour::kBold, resource.key().text()) << "\n";
  const std::string age = age_text(resource, context.clock.wall());
  terminal.out << fmt::format("  revision {}, generation {}{}{}\n", metadata.revision(),
                              metadata.generation(), age.empty() ? "" : ", made " + age + " ago",
                              metadata.uid().empty() ? "" : ", uid " + metadata.uid());
  const boost::json::value json = to_json(resource.message());
  const auto& object = json.get_object();
  const auto& meta = object.at("metadata").get_object();
  print_section(terminal, "labels", meta.if_contains("labels"));
  print_section(terminal, "annotations", meta.if_contains("annotations"));
  print_section(terminal, "spec", object.if_contains("spec"));
  print_section(terminal, "status", object.if_contains("status"));
}

}  // namespace

Command describe_command() {
  return {
      .name = "describe",
      .summary = "Show a resource with everything that belongs to it",
      .help = {},
      .examples = {{"describe node core-1", "spec, status, and what runs on it"},
                   {"describe tenant acme", "with its grants"},
                   {"describe cluster eu-edge", "with its nodes and tenants"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string kind;
          std::string name;
          std::string tenant;
        };
        auto options = std::make_shared<Options>();
        app.add_option("KIND", options->kind, "Kind of resource")->required();
        app.add_option("NAME", options->name, "Its name")->required();
        app.add_option("--tenant", options->tenant, "The tenant that owns it");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const Kind* const kind, kind_from_word(options->kind));
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const Resource resource,
                           get_resource(*client, *kind, options->tenant, options->name));
          if (context.json) {
            context.terminal.out << pretty_json(to_json(resource.message())) << "\n";
            return kExitOk;
          }
          print_resource(context, resource);
          for (const Related& each : related_to(resource))
            RETURN_IF_ERROR(print_related(context, *client, each));
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
