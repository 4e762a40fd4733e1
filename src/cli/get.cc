#include "cli/changes.h"
#include "cli/commands.h"
#include "cli/resources.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string kind;
  std::string name;
  std::string tenant;
  std::string output = "table";
  bool watch = false;
};

void print_resources(const Context& context, const Options& options, const Kind& kind,
                     const std::vector<Resource>& resources) {
  const Terminal& terminal = context.terminal;
  const bool one = !options.name.empty();
  if (options.output == "table") {
    const Table table = make_table(kind, resources, context.clock.wall());
    if (!table.empty())
      table.print(terminal);
    else
      terminal.err << "there are no " << kind.plural << "\n";
  } else if (options.output == "yaml") {
    for (const Resource& resource : resources)
      terminal.out << (one ? "" : "---\n") << yaml_text(to_json(resource.message()));
  } else if (one) {
    terminal.out << pretty_json(to_json(resources.front().message())) << "\n";
  } else {
    boost::json::array all;
    for (const Resource& resource : resources) all.push_back(to_json(resource.message()));
    terminal.out << pretty_json(all) << "\n";
  }
}

Result<int> get(Context& context, Options options) {
  ASSIGN_OR_RETURN(const Kind* const kind, kind_from_word(options.kind));
  if (context.json) options.output = "json";
  if (options.watch) return watch_changes(context, {kind->name}, options.tenant);
  ASSIGN_OR_RETURN(const auto client, context.connect());
  std::vector<Resource> resources;
  if (options.name.empty()) {
    ASSIGN_OR_RETURN(Listing listing, list_resources(*client, *kind, options.tenant));
    resources = std::move(listing.resources);
  } else {
    ASSIGN_OR_RETURN(const Resource resource,
                     get_resource(*client, *kind, options.tenant, options.name));
    resources.push_back(resource);
  }
  print_resources(context, options, *kind, resources);
  return kExitOk;
}

}  // namespace

Command get_command() {
  return {
      .name = "get",
      .summary = "List resources, or show one",
      .help = "Kinds: " + kind_words() +
              ".\nYAML output can be applied again. -o json lists an array, or "
              "the one resource that is named.",
      .examples = {{"get nodes", "a table"},
                   {"get grants --tenant acme", "of one tenant"},
                   {"get node core-1 -o json", "one, as JSON"},
                   {"get services -o yaml", "as fleet files"},
                   {"get nodes --watch", "a table, then changes"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("KIND", options->kind, "Kind of resource")->required();
        app.add_option("NAME", options->name, "Name of one");
        app.add_option("--tenant", options->tenant, "Only what this tenant owns");
        app.add_option("-o,--output", options->output, "table, json or yaml")
            ->check(CLI::IsMember({"table", "json", "yaml"}))
            ->capture_default_str();
        app.add_flag("-w,--watch", options->watch, "Go on with changes");
        return [options](Context& context) { return get(context, *options); };
      },
  };
}

}  // namespace frameworks::cli
