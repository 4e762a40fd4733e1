#include "agent/status.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/ask.h"
#include "agent/version.h"
#include "base/file.h"
#include "base/text.h"

namespace frameworks {
namespace {

std::string certificate_text(const Identity& identity, Clock& clock) {
  if (!identity.credentials()) return "none: this node has not joined";
  const auto& credentials = *identity.credentials();
  const Duration left = credentials.not_after - clock.wall();
  if (left <= Duration::zero()) return fmt::format("expired {} ago", human_duration(-left));
  return fmt::format("valid for {}, renewed after {}", human_duration(left),
                     rfc3339(credentials.renew_at()));
}

std::string age_of(const std::filesystem::path& file, Clock& clock) {
  struct stat info {};
  if (stat(file.c_str(), &info) != 0) return "unknown";
  const WallTime written{std::chrono::seconds(info.st_mtim.tv_sec)};
  return human_duration(std::max<Duration>(clock.wall() - written, Duration::zero()));
}

std::string plan_text(const std::filesystem::path& file, Clock& clock) {
  const auto content = read_file(file);
  pb::PlanUpdate plan;
  if (!content || !plan.ParseFromString(*content)) return "plan         none yet\n";
  std::string out = fmt::format("plan         revision {}, applied {} ago\n", plan.revision(),
                                age_of(file, clock));
  if (plan.has_mesh())
    out += fmt::format("  mesh       {} peers, port {}{}\n", plan.mesh().peers_size(),
                       plan.mesh().listen_port(), plan.mesh().forward() ? ", forwards" : "");
  if (plan.has_firewall())
    out += fmt::format("  firewall   {} bytes of rules\n", plan.firewall().ruleset().size());
  if (plan.has_names())
    out += fmt::format("  names      {} addresses\n", plan.names().records_size());
  if (plan.has_checks())
    out += fmt::format("  checks     {} instances\n", plan.checks().instances_size());
  if (plan.has_tenancy())
    out += fmt::format("  tenancy    {} tenants\n", plan.tenancy().tenants_size());
  return out;
}

}  // namespace

Result<std::string> status_text(const AgentOptions& options, Clock& clock) {
  // Looking must not make keys.
  if (!std::filesystem::exists(options.state / "node.key"))
    return Error(
        Code::kFailedPrecondition,
        fmt::format("{}: no agent has run with this state; give --state", options.state.string()));
  ASSIGN_OR_RETURN(const Identity identity, Identity::load_or_create(options.state));
  std::string out = fmt::format("version      {}\n", kAgentVersion);
  if (!options.node.empty()) out += fmt::format("node         {}\n", options.node);
  if (!options.server.empty()) out += fmt::format("server       {}\n", options.server);
  out += fmt::format("certificate  {}\n", certificate_text(identity, clock));
  out += fmt::format("wireguard    {}\n", identity.wireguard_public_key());
  out += plan_text(options.state / "plan.pb", clock);
  const auto live = ask_agent(options.media_listen);
  out += "agent        " + (live ? std::string(trim(*live)) : live.error().message()) + "\n";
  return out;
}

}  // namespace frameworks
