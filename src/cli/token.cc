#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "model/json.h"

namespace frameworks::cli {

Command token_create_command() {
  return {
      .name = "token create",
      .summary = "Make a token that lets machines join",
      .help =
          "The token is shown this once. It is bound to a cluster, expires, and may be used as "
          "often as\n"
          "--uses says.",
      .examples = {{"token create --cluster eu-edge", "for one machine, within an hour"},
                   {"token create --cluster eu-edge --node eu-edge-7", "for this one node only"},
                   {"token create --cluster eu-edge --uses 20 --ttl 24h", "for a rack"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string cluster;
          std::string node;
          std::string ttl = "1h";
          int uses = 1;
        };
        auto options = std::make_shared<Options>();
        app.add_option("--cluster", options->cluster, "The cluster that may be joined")->required();
        app.add_option("--node", options->node, "Only this node may use it");
        app.add_option("--ttl", options->ttl, "How long it is good, e.g. 30m, 24h")
            ->capture_default_str();
        app.add_option("--uses", options->uses, "How often it may be used")
            ->check(CLI::Range(1, 100'000))
            ->capture_default_str();
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const Duration ttl, parse_duration(options->ttl));
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::CreateJoinTokenRequest request;
          request.set_cluster(options->cluster);
          request.set_node(options->node);
          request.set_max_uses(options->uses);
          request.mutable_ttl()->set_seconds(
              std::chrono::duration_cast<std::chrono::seconds>(ttl).count());
          ASSIGN_OR_RETURN(const pb::CreateJoinTokenResponse response,
                           client->call(client->machines(),
                                        &pb::Machines::StubInterface::CreateJoinToken, request));
          if (context.json) {
            context.terminal.out << pretty_json(to_json(response, Secrets::kShow)) << "\n";
          } else {
            // The token alone on standard output, so that it can be put into a file.
            context.terminal.out << response.token() << "\n";
            context.terminal.err << fmt::format("{} is good for {}\n", response.name(),
                                                human_duration(ttl));
          }
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
