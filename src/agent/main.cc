// frameworks-agent: makes a node what the fleet's model says of it.
#include <fmt/format.h>
#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "agent/agent.h"
#include "agent/ask.h"
#include "agent/join.h"
#include "agent/notify.h"
#include "agent/options.h"
#include "agent/simulate.h"
#include "agent/status.h"
#include "agent/version.h"
#include "base/log.h"

namespace frameworks {
namespace {

constexpr int kBadUsage = 2;

int fail(const Error& error, int code = 1) {
  fmt::print(stderr, "frameworks-agent: {}\n", error.text());
  return code;
}

NodeDrivers real_drivers() {
  return {.wireguard = make_wireguard("fw0"), .packet_filter = make_nft_packet_filter()};
}

// Blocks the signals in this thread and its children, and turns the first into a stop.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    // Ends the waiting thread when the work ends by itself.
    sigaddset(&signals_, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::jthread([this] {
      int signal = 0;
      sigwait(&signals_, &signal);
      source_.request_stop();
    });
  }
  ~StopOnSignal() {
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_;
  std::stop_source source_;
  std::jthread thread_;
};

int run_agent(const CommandLine& line) {
  init_logging("frameworks-agent");
  const StopOnSignal signals;
  auto agent = Agent::start(line.agent, real_drivers(), make_network_prober(), system_clock());
  if (!agent) return fail(agent.error());
  notify_systemd("READY=1");
  (*agent)->run(signals.token());
  notify_systemd("STOPPING=1");
  return 0;
}

// Nothing of the host is touched: joining makes keys and a certificate only.
int run_join(const AgentOptions& options) {
  init_logging("frameworks-agent");
  auto identity = Identity::load_or_create(options.state);
  if (!identity) return fail(identity.error());
  const auto joined = join({.server = options.server,
                            .node = options.node,
                            .token_file = options.token_file,
                            .ca_file = options.ca_file},
                           *identity);
  return joined ? 0 : fail(joined.error());
}

int run_simulation(const CommandLine& line) {
  init_logging("frameworks-agent");
  const StopOnSignal signals;
  fmt::print("SIMULATION: nothing of these nodes is real.\n");
  auto ended = simulate(line.agent, line.tokens, system_clock(), signals.token());
  return ended ? 0 : fail(ended.error());
}

int print_status(const CommandLine& line) {
  const auto text =
      line.json ? ask_agent(line.agent.media_listen) : status_text(line.agent, system_clock());
  if (!text) return fail(text.error());
  fmt::print("{}", *text);
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  const auto line = parse_command_line(
      arguments, [](const char* name) -> const char* { return std::getenv(name); });
  if (!line) return fail(line.error(), kBadUsage);
  if (line->command == "help") fmt::print("{}", help_text());
  if (line->command == "version") fmt::print("frameworks-agent {}\n", kAgentVersion);
  if (line->command == "run") return run_agent(*line);
  if (line->command == "join") return run_join(line->agent);
  if (line->command == "simulate") return run_simulation(*line);
  if (line->command == "status") return print_status(*line);
  return 0;
}

}  // namespace
}  // namespace frameworks

int main(int argc, char** argv) {
  // One arena: a dozen mostly idle threads would each keep one of their own.
  mallopt(M_ARENA_MAX, 1);
  return frameworks::run({argv + 1, argv + argc});
}
