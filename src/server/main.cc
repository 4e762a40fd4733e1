// quartermaster: serves the fleet's API, keeps its model, brings the world to it.
#include <absl/synchronization/mutex.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "server/metrics.h"
#include "server/notify.h"
#include "server/quartermaster.h"
#include "server/restore.h"
#include "server/store_choice.h"

namespace {

constexpr const char* kExamples = R"(
Examples:
  quartermaster --state /var/lib/frameworks --collection ansible --hostd /run/frameworks/hostd.sock
  quartermaster --state /tmp/fleet --machines simulated
  quartermaster --state /var/lib/frameworks --store postgresql://fleet@db-1,db-2/fleet
  quartermaster restore fleet.backup --state /var/lib/frameworks

The first start makes STATE/admin.token (the administrator's token) and STATE/ca.pem (the CA that
clients trust). gRPC is TLS. REST is plain HTTP, and takes tokens from this host only, while it
listens on a loopback address; elsewhere it is HTTPS (see --rest-tls).
)";

// The signals that end the server are taken by wait_for_end() alone, in every thread.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

void wait_for_end(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopping: {}", signal == SIGINT ? "interrupted" : "asked to");
}

void declare_options(CLI::App& app, frameworks::QuartermasterOptions& options,
                     std::string& store_file, std::string& machines, std::string& heartbeat,
                     std::string& audit_keep, std::string& log) {
  app.footer(kExamples);
  app.set_version_flag("--version", FW_VERSION);
  app.add_option("--state", options.state, "Folder that holds everything to keep")->required();
  app.add_option(
      "--store", options.store,
      "Database for several servers, postgresql://USER@HOST/DATABASE; not with a password "
      "in it (see --store-file) [a file in STATE, for one server]");
  app.add_option("--store-file", store_file,
                 "File with what --store takes, password included; also FRAMEWORKS_STORE");
  app.add_option("--replica-name", options.replica,
                 "Name of this server among several [HOST:PORT of gRPC]");
  app.add_option("--listen-grpc", options.listen_grpc, "ADDRESS:PORT of gRPC (TLS)")
      ->capture_default_str();
  app.add_option("--listen-rest", options.listen_rest, "ADDRESS:PORT of REST and events")
      ->capture_default_str();
  using RestTls = frameworks::QuartermasterOptions::RestTls;
  app.add_option("--rest-tls", options.rest_tls,
                 "REST over TLS: on, off, or auto (where it listens on more than this host) [auto]")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, RestTls>{
              {"auto", RestTls::kAuto}, {"on", RestTls::kOn}, {"off", RestTls::kOff}},
          CLI::ignore_case));
  app.add_flag_callback(
      "--print-metrics",
      [] {
        std::fputs(frameworks::metrics_page().c_str(), stdout);
        throw CLI::Success();
      },
      "Print docs/reference/metrics.md, and end");
  app.add_option("--advertise", options.advertise,
                 "ADDRESS:PORT that agents dial [where gRPC listens]");
  app.add_option("--hostd", options.hostd, "Socket of frameworks-hostd, which owns local machines")
      ->capture_default_str();
  app.add_option("--collection", options.collection,
                 "Folder with ansible_collections/frameworks/infra")
      ->capture_default_str();
  app.add_option("--machines", machines, "hostd: real local machines; simulated: none at all")
      ->check(CLI::IsMember({"hostd", "simulated"}))
      ->capture_default_str();
  app.add_flag("--rotate-secrets", options.rotate_secrets,
               "At this start make a new key for secrets, and seal all of them with it");
  app.add_option("--heartbeat", heartbeat, "How often nodes tell that they live, e.g. 1s, 10s")
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--disruption-budget",
         [&options](const std::string& text) {
           const auto budget = frameworks::DisruptionBudget::parse(text);
           if (!budget) throw CLI::ValidationError("--disruption-budget", budget.error().message());
           options.disruption = *budget;
         },
         "How many nodes rollouts may change at once: a share, a number, or both, of which the "
         "larger holds, e.g. 5%, 25 or 5%,25")
      ->default_str(options.disruption.text());
  app.add_option("--audit-keep", audit_keep,
                 "How long entries of the audit log are kept, e.g. 8760h [for ever]");
  app.add_option("--resolver", options.resolver,
                 "ADDRESS:PORT of the DNS resolver that verifies custom domains "
                 "[as /etc/resolv.conf says]");
  app.add_option(
      "--notify-webhook", options.webhooks,
      "URL that is told of incidents by POST, https, or http on this host; @FILE reads it "
      "from a file, where it holds a secret; may be repeated");
  app.add_option("--alertmanager", options.alertmanagers,
                 "URL of an Alertmanager that is told of incidents, e.g. http://127.0.0.1:9093; "
                 "@FILE as above; may be repeated");
  app.add_option("--log", log, "debug, info, warn or error")->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "restore")
    return frameworks::restore_main(argc - 1, argv + 1);
  frameworks::QuartermasterOptions options;
  options.hostd = "/run/frameworks/hostd.sock";
  options.collection = "ansible";
  std::string machines = "hostd";
  std::string heartbeat = "1s";
  std::string audit_keep;
  std::string log = "info";
  CLI::App app("Serves a fleet: its model, its plans, its nodes.", "quartermaster");
  std::string store_file;
  declare_options(app, options, store_file, machines, heartbeat, audit_keep, log);
  CLI11_PARSE(app, argc, argv);

  // As Debian builds it, gRPC looks for deadlocks at each of its locks, under one lock of all.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  frameworks::init_logging("quartermaster", log);
  const sigset_t signals = block_signals();
  if (const auto chosen = frameworks::choose_store(store_file, options.store); !chosen) {
    spdlog::error("{}", chosen.error().text());
    return 2;
  }
  options.simulated = machines == "simulated";
  const auto interval = frameworks::parse_duration(heartbeat);
  if (!interval || *interval < std::chrono::milliseconds(100)) {
    spdlog::error("--heartbeat {}: not a duration of at least 100ms", heartbeat);
    return 2;
  }
  options.heartbeat = *interval;
  if (!audit_keep.empty()) {
    const auto keep = frameworks::parse_duration(audit_keep);
    if (!keep || *keep <= frameworks::Duration{}) {
      spdlog::error("--audit-keep {}: not a duration such as 8760h", audit_keep);
      return 2;
    }
    options.audit_keep = *keep;
  }

  auto server = frameworks::Quartermaster::start(options);
  if (!server) {
    spdlog::error("{}", server.error().text());
    return 1;
  }
  frameworks::notify_service_manager("READY=1");
  wait_for_end(signals);
  frameworks::notify_service_manager("STOPPING=1");
  server->reset();
  return 0;
}
