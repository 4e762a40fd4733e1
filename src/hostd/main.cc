// frameworks-hostd: see --help. Without a subcommand it is the daemon.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "hostd/calls.h"
#include "hostd/cgroups.h"
#include "hostd/host.h"
#include "hostd/names.h"
#include "hostd/relay.h"
#include "hostd/requirements.h"
#include "hostd/service.h"
#include "hostd/supervisor.h"
#include "hostd/sweep.h"
#include "hostd/wan_process.h"
#include "machine/provisioning/machine_rules.h"

namespace frameworks::hostd {
namespace {

// Exit codes: 0 done, 1 failed, 2 wrong use.
constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

struct Options {
  std::string name = "frameworks";
  std::filesystem::path state = "/var/lib/frameworks/hostd";
  std::filesystem::path socket;
  std::filesystem::path base = "/var/cache/frameworks/base";
  std::filesystem::path repository = "/var/cache/frameworks/repository";
  std::vector<std::string> publish;
  bool json = false;
  std::string machine;
  std::string method;
  std::string request = "{}";
  double timeout_s = 60;
  std::vector<std::string> command;

  std::filesystem::path socket_path() const {
    return socket.empty() ? state / "hostd.sock" : socket;
  }
};

int fail(const Error& error) {
  fmt::print(stderr, "frameworks-hostd: {}\n", error.text());
  return error.code() == Code::kInvalidArgument ? kWrongUse : kFailed;
}

// Blocked in every thread, before any is started, and fetched with sigwait.
sigset_t block_termination() {
  sigset_t out;
  sigemptyset(&out);
  sigaddset(&out, SIGTERM);
  sigaddset(&out, SIGINT);
  pthread_sigmask(SIG_BLOCK, &out, nullptr);
  return out;
}

int serve(const Options& options) {
  init_logging("hostd");
  const sigset_t termination = block_termination();
  signal(SIGPIPE, SIG_IGN);
  std::vector<Publication> publications;
  for (const std::string& text : options.publish) {
    auto publication = parse_publication(text);
    if (!publication) return fail(publication.error().with_context("--publish"));
    publications.push_back(*publication);
  }
  for (const Requirement& requirement : check_requirements(options.state)) {
    if (!requirement.met)
      return fail(
          Error(Code::kFailedPrecondition, fmt::format("this host cannot run machines: {}: {}",
                                                       requirement.name, requirement.message)));
  }
  Host host({options.name, options.state, options.base, options.repository});
  Service service(host);
  Relay relay(namespace_path(fabric_namespace(options.name)), std::move(publications));
  if (const Status up = host.start(); !up) return fail(up.error());
  if (const Status up = relay.start(); !up) return fail(up.error());
  if (const Status up = service.start(options.socket_path()); !up) return fail(up.error());
  spdlog::info("instance \"{}\" serves on {}", options.name, options.socket_path().string());
  int signal = 0;
  sigwait(&termination, &signal);
  spdlog::info("ends; machines and network go on");
  service.stop();
  relay.stop();
  host.stop();
  return 0;
}

int down(const Options& options) {
  const Status swept =
      sweep(options.name, options.state, [](const std::string& line) { fmt::print("{}\n", line); });
  return swept ? 0 : fail(swept.error());
}

int check(const Options& options) {
  const auto requirements = check_requirements(options.state);
  const bool met = std::ranges::all_of(requirements, [](const Requirement& r) { return r.met; });
  if (options.json) {
    nlohmann::ordered_json out{{"ok", met}, {"requirements", nlohmann::ordered_json::array()}};
    for (const Requirement& r : requirements)
      out["requirements"].push_back({{"name", r.name}, {"met", r.met}, {"message", r.message}});
    fmt::print("{}\n", out.dump(2));
  } else {
    for (const Requirement& r : requirements)
      fmt::print("{:<8}{:<12}{}\n", r.met ? "ok" : "MISSING", r.name, r.message);
    fmt::print("{}\n", met ? "this host can run machines" : "this host cannot run machines");
  }
  return met ? 0 : kFailed;
}

int enter(const Options& options) {
  const auto host = StateDirectory(options.state).read_host();
  if (!host) return fail(host.error().with_context("no instance here"));
  const Cgroups cgroups({host->cgroups().begin(), host->cgroups().end()});
  const pid_t leader = find_leader(cgroups.processes(machine_cgroup(options.machine)));
  if (leader == 0 || !provisioning::is_dns_label(options.machine))
    return fail(
        Error(Code::kNotFound, fmt::format("machine \"{}\": is not running", options.machine)));
  std::vector<std::string> argv{
      "nsenter",
      "--target",
      fmt::to_string(leader),
      "--all",
      "--",
      "env",
      "-i",
      "--chdir=/",
      "HOME=/root",
      "LANG=C.UTF-8",
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  if (const char* term = std::getenv("TERM")) argv.push_back(fmt::format("TERM={}", term));
  if (options.command.empty()) argv.insert(argv.end(), {"/bin/bash", "-l"});
  argv.insert(argv.end(), options.command.begin(), options.command.end());
  std::vector<char*> pointers;
  for (std::string& text : argv) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  return fail(errno_error("start nsenter"));
}

int call_method(const Options& options) {
  const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(options.timeout_s * 1000));
  const auto response = call(options.socket_path(), options.method, options.request, timeout);
  if (!response) return fail(response.error());
  fmt::print("{}", *response);
  return 0;
}

int run_helper(const char* name, const Status& status) {
  if (status) return 0;
  spdlog::error("{}: {}", name, status.error().text());
  return kFailed;
}

constexpr const char* kExamples = R"(
Examples:
  frameworks-hostd --publish 127.0.0.1:18002=10.99.0.1:18002
  frameworks-hostd check --json
  frameworks-hostd call EnsureFabric '{"host_address": "10.99.0.1/16",
      "links": [{"region": "eu-west", "delay": "0.020s"}, {"region": "us-east", "delay": "0.020s"}]}'
  frameworks-hostd call EnsureMachine '{"spec": {"name": "eu-edge-1", "region": "eu-west",
      "address": "10.99.1.1/16", "cpus": 1, "memory_mb": 512}}'
  frameworks-hostd exec eu-edge-1 -- systemctl status
  ip netns exec frameworks ping 10.99.1.1
  frameworks-hostd down

Machines share this host's kernel and its root user: they are for trying things out, not a security
boundary.)";

int run(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Owns local machines: systemd-nspawn containers with a real systemd, in regions of a "
      "network\n"
      "of their own. Machines and network outlive this daemon; `down` removes everything.",
      "frameworks-hostd");
  app.footer(kExamples);
  app.fallthrough();
  app.require_subcommand(0, 1);
  const CLI::Validator label(
      [](const std::string& text) {
        return provisioning::is_dns_label(text, 32) ? ""
                                                    : "must be at most 32 of a-z, 0-9 and inner -";
      },
      "NAME");
  app.add_option("--name", options.name, "Instance; names its network namespaces and cgroups")
      ->check(label)
      ->capture_default_str();
  app.add_option("--state", options.state, "Directory for disks and records")
      ->capture_default_str();
  app.add_option("--socket", options.socket,
                 "Unix socket of the service (default STATE/hostd.sock)");
  app.add_option("--base", options.base, "Base image: an unpacked directory or a .tar.zst")
      ->capture_default_str();
  app.add_option("--repository", options.repository,
                 "Package repository that machines see at /opt/frameworks/repository")
      ->capture_default_str();
  app.add_option("--publish", options.publish,
                 "LISTEN=TARGET: a TCP port of this host's loopback that leads into the fabric")
      ->take_all();

  auto* down_command = app.add_subcommand("down", "Remove everything this instance has made");
  auto* check_command = app.add_subcommand("check", "Say whether this host can run machines");
  check_command->add_flag("--json", options.json, "Print one JSON object");
  auto* exec_command = app.add_subcommand("exec", "Run a command (default: a shell) in a machine");
  exec_command->add_option("machine", options.machine, "Machine")->required();
  exec_command->add_option("command", options.command, "Command, after --");
  auto* call_command = app.add_subcommand("call", "Call a method of the running daemon");
  call_command->add_option("method", options.method, "EnsureFabric, EnsureMachine, SetPower, ...")
      ->required();
  call_command->add_option("request", options.request, "The request as JSON")
      ->capture_default_str();
  call_command->add_option("--timeout", options.timeout_s, "Seconds")->capture_default_str();
  // The daemon's own helper processes.
  auto* wan_command = app.add_subcommand("wan", "")->group("");
  auto* supervise_command = app.add_subcommand("supervise", "")->group("");
  supervise_command->add_option("machine", options.machine)->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUse;
  }
  options.state = std::filesystem::absolute(options.state).lexically_normal();
  if (*down_command) return down(options);
  if (*check_command) return check(options);
  if (*exec_command) return enter(options);
  if (*call_command) return call_method(options);
  if (*wan_command) {
    init_logging("hostd-wan");
    return run_helper("wan emulator", run_wan(options.state));
  }
  if (*supervise_command) {
    init_logging("hostd-supervise");
    return run_helper("supervisor", supervise(options.state, options.machine));
  }
  return serve(options);
}

}  // namespace
}  // namespace frameworks::hostd

int main(int argc, char** argv) { return frameworks::hostd::run(argc, argv); }
