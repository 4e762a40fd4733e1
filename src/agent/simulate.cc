#include "agent/simulate.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "config/mesh/fake_wireguard.h"
#include "machine/network_security/fake_packet_filter.h"

namespace frameworks {
namespace {

constexpr std::chrono::milliseconds kLook{200};

struct SimulatedNode {
  std::unique_ptr<Agent> agent;
  std::jthread thread;  // before the agent goes, it ends
};

std::set<std::string> wanted_nodes(const std::filesystem::path& state,
                                   const std::filesystem::path& tokens) {
  std::set<std::string> out;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(tokens, failed))
    if (entry.path().extension() == ".token") out.insert(entry.path().stem().string());
  for (const auto& entry : std::filesystem::directory_iterator(state, failed))
    if (std::filesystem::exists(entry.path() / "node.crt"))
      out.insert(entry.path().filename().string());
  return out;
}

Result<SimulatedNode> start_node(AgentOptions options, const std::string& name,
                                 const std::filesystem::path& tokens, Clock& clock) {
  options.node = name;
  options.state /= name;
  options.token_file = tokens / (name + ".token");
  options.media_listen.clear();
  options.simulated = true;
  std::error_code failed;
  std::filesystem::create_directories(options.state, failed);
  NodeDrivers drivers{.wireguard = std::make_unique<FakeWireguard>(),
                      .packet_filter = std::make_unique<FakePacketFilter>(),
                      .hosts = options.state / "hosts",
                      .sysctl = options.state / "sysctl"};
  SimulatedNode out;
  ASSIGN_OR_RETURN(out.agent,
                   Agent::start(options, std::move(drivers), make_simulated_prober(), clock));
  out.thread =
      std::jthread([agent = out.agent.get()](const std::stop_token& stop) { agent->run(stop); });
  return out;
}

}  // namespace

Status simulate(const AgentOptions& common, const std::filesystem::path& tokens, Clock& clock,
                const std::stop_token& stop) {
  spdlog::warn(
      "SIMULATION: no machine, mesh, packet filter or service of these nodes is real; their health "
      "checks always succeed");
  std::error_code failed;
  std::filesystem::create_directories(common.state, failed);
  if (failed)
    return Error(Code::kFailedPrecondition,
                 fmt::format("make {}: {}", common.state.string(), failed.message()));
  std::map<std::string, SimulatedNode> nodes;
  do {
    for (const std::string& name : wanted_nodes(common.state, tokens)) {
      if (nodes.contains(name)) continue;
      ASSIGN_OR_RETURN(nodes[name], start_node(common, name, tokens, clock));
      spdlog::info("simulated node {} started ({} in all)", name, nodes.size());
    }
  } while (clock.sleep_for(kLook, stop));
  for (auto& [name, node] : nodes) node.thread.request_stop();
  return {};
}

}  // namespace frameworks
