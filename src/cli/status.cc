#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "frameworks/v1/lease.pb.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

template <typename Counts>
std::string counts_text(const Counts& counts) {
  const std::map<std::string, int> sorted(counts.begin(), counts.end());
  std::string out;
  for (const auto& [state, count] : sorted)
    if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, state);
  return out.empty() ? "none" : out;
}

std::string list_waiting(const pb::PlaneStatus& plane) {
  constexpr int kNamed = 3;
  std::string out;
  for (int i = 0; i < std::min(plane.waiting_size(), kNamed); ++i)
    out += (i == 0 ? "" : ", ") + plane.waiting(i);
  if (plane.waiting_size() > kNamed)
    out += fmt::format(" and {} more", plane.waiting_size() - kNamed);
  return out;
}

// Who of several servers holds the lease; empty: the server is alone.
std::string lease_holder(Client& client) {
  pb::GetRequest request;
  request.set_kind("Lease");
  request.set_name("servers");
  const auto found = client.call(client.fleet(), &pb::Fleet::StubInterface::Get, request);
  pb::Lease lease;
  if (!found || !found->resource().UnpackTo(&lease)) return {};
  return lease.spec().holder().empty() ? "nobody" : lease.spec().holder();
}

void print_status(const Context& context, const pb::StatusResponse& status,
                  const std::string& holder) {
  const Terminal& terminal = context.terminal;
  if (status.simulated())
    terminal.out << terminal.paint(Colour::kYellow,
                                   "SIMULATED: the machines of this fleet are not real")
                 << "\n";
  std::string written;
  if (status.has_revision_time()) {
    const WallTime time{std::chrono::seconds(status.revision_time().seconds()) +
                        std::chrono::nanoseconds(status.revision_time().nanos())};
    written =
        fmt::format(", written {} ago",
                    human_duration(std::max(context.clock.wall() - time, WallTime::duration{})));
  }
  terminal.out << fmt::format("revision   {}{}\n", status.revision(), written);
  terminal.out << fmt::format("server     {}, version {}, up {}\n",
                              status.server().empty() ? "unnamed" : status.server(),
                              status.server_version(),
                              human_duration(std::chrono::seconds(status.uptime().seconds()) +
                                             std::chrono::nanoseconds(status.uptime().nanos())));
  if (!holder.empty()) terminal.out << fmt::format("lease      held by {}\n", holder);
  terminal.out << fmt::format("nodes      {}\n", counts_text(status.nodes()));
  terminal.out << fmt::format("instances  {}\n\n", counts_text(status.instances()));
  Table table({"PLANE", "CONVERGED", "SLOWEST", "WAITING"});
  for (const pb::PlaneStatus& plane : status.planes())
    table.add({plane.plane(), fmt::format("{} of {}", plane.converged(), plane.total()),
               plane.elapsed_ms() < 0 ? "" : fmt::format("{} ms", plane.elapsed_ms()),
               clip(list_waiting(plane), 160)});
  table.print(terminal);
}

}  // namespace

Command status_command() {
  return {
      .name = "status",
      .summary = "Tell where a revision has arrived, and how fast",
      .help =
          "For every plane: how many of the nodes concerned have the revision, how long the "
          "slowest\n"
          "took after the write, and which are still waiting, with why.",
      .examples = {{"status", "of the newest revision"},
                   {"status --revision 42", "of an earlier one"}},
      .setup = [](CLI::App& app) -> Run {
        auto revision = std::make_shared<int64_t>(0);
        app.add_option("--revision", *revision, "The revision; none: the newest");
        return [revision](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::StatusRequest request;
          request.set_revision(*revision);
          ASSIGN_OR_RETURN(
              const pb::StatusResponse status,
              client->call(client->fleet(), &pb::Fleet::StubInterface::Status, request));
          if (context.json)
            context.terminal.out << pretty_json(to_json(status)) << "\n";
          else
            print_status(context, status, lease_holder(*client));
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
