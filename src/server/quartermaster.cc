#include "server/quartermaster.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <atomic>
#include <boost/json.hpp>

#include "base/fd.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "config/system/ansible_configurator.h"
#include "config/system/fake_configurator.h"
#include "machine/certificates/authority.h"
#include "machine/provisioning/fake_machines.h"
#include "machine/provisioning/hostd_machines.h"
#include "runtime/access/login_desk.h"
#include "runtime/access/token_desk.h"
#include "runtime/orchestration/drain_step.h"
#include "runtime/orchestration/orchestration_keeper.h"
#include "runtime/orchestration/rollout_change.h"
#include "runtime/tenants/tenant_keeper.h"
#include "server/agents_service.h"
#include "server/configure_step.h"
#include "server/converge_step.h"
#include "server/derive.h"
#include "server/fleet_health.h"
#include "server/grpc_server.h"
#include "server/handlers.h"
#include "server/node_plan.h"
#include "server/provision_step.h"
#include "server/replica.h"
#include "server/rest_server.h"
#include "server/secret_keys.h"
#include "server/server_metrics.h"
#include "server/store_choice.h"
#include "server/unfinished.h"

namespace frameworks {
namespace {

constexpr int kWorkers = 8;
constexpr size_t kWorkQueue = 1024;
// Of streams: each has one task at most.
constexpr int kStreamWorkers = 2;
constexpr size_t kStreamQueue = 65'536;

// Held for the server's life: two servers on one state folder would both write its log.
Result<Fd> lock_state(const std::filesystem::path& state) {
  std::error_code error;
  std::filesystem::create_directories(state, error);
  if (error)
    return Error(Code::kFailedPrecondition,
                 fmt::format("state folder {}: {}", state.string(), error.message()));
  if (chmod(state.c_str(), 0700) != 0) return errno_error("chmod " + state.string());
  Fd lock(open((state / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return errno_error("open " + (state / "lock").string());
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return Error(Code::kFailedPrecondition,
                 fmt::format("state folder {}: another quartermaster uses it", state.string()));
  return lock;
}

// The server's own key for configuring machines over SSH, made once.
Result<std::string> ssh_public_key(const std::filesystem::path& state) {
  const auto path = state / "ssh_key";
  const auto pub = state / "ssh_key.pub";
  if (!std::filesystem::exists(pub)) {
    std::filesystem::remove(path);  // half of a pair: a crash in the midst of making it
    RETURN_IF_ERROR(run_checked({.argv = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                                          "quartermaster", "-f", path.string()}}));
  }
  ASSIGN_OR_RETURN(const std::string text, read_file(pub));
  return std::string(trim(text));
}

// Every address that clients may know the server by.
std::vector<std::string> server_addresses(const QuartermasterOptions& options,
                                          std::vector<std::string>& names) {
  std::vector<std::string> out{"127.0.0.1", "::1"};
  for (const std::string& at : {options.listen_grpc, options.listen_rest, options.advertise}) {
    const auto parsed = parse_host_port(at);
    if (!parsed || parsed->host == "0.0.0.0" || parsed->host == "::") continue;
    auto& list = IpAddress::parse(parsed->host) ? out : names;
    if (std::find(list.begin(), list.end(), parsed->host) == list.end())
      list.push_back(parsed->host);
  }
  return out;
}

bool wants_rest_tls(const QuartermasterOptions& options) {
  if (options.rest_tls != QuartermasterOptions::RestTls::kAuto)
    return options.rest_tls == QuartermasterOptions::RestTls::kOn;
  const auto at = parse_host_port(options.listen_rest);
  return at && !at->host.starts_with("127.") && at->host != "::1";
}

class Server final : public Quartermaster {
 public:
  explicit Server(const QuartermasterOptions& options) : options_(options) {}

  ~Server() override {
    // What answers to the transports first, then the transports, then what their calls use.
    if (login_desk_) login_desk_->stop();
    if (workers_) workers_->stop();
    if (streams_) streams_->stop();
    rest_.reset();
    grpc_.reset();
    if (lease_) lease_->stop();
    tenants_.reset();
    orchestration_.reset();
    if (health_) health_->keep_incidents(nullptr);
    if (health_) health_->ask_by(nullptr);
    operations_.reset();
  }

  Status begin() {
    ASSIGN_OR_RETURN(lock_, lock_state(options_.state));
    RETURN_IF_ERROR(open_store());
    RETURN_IF_ERROR(watch_nodes());
    RETURN_IF_ERROR(prepare_operations());
    RETURN_IF_ERROR(prepare_resolver());
    add_methods();
    add_metrics();
    RETURN_IF_ERROR(serve());
    // Last: steps that are taken up again may wait for nodes to connect.
    RETURN_IF_ERROR(operations_->resume_all());
    keep_tenants();
    keep_orchestration();
    RETURN_IF_ERROR(lease_->start());
    return announce();
  }

  int grpc_port() const override { return grpc_->port(); }
  int rest_port() const override { return rest_->port(); }

 private:
  Status open_store() {
    ASSIGN_OR_RETURN(auto log, open_log(options_.state, options_.store));
    SharedLog* const shared = log->shared();
    if (shared != nullptr) RETURN_IF_ERROR(require_keys(*shared, options_.state));
    ASSIGN_OR_RETURN(auto authority, Authority::load_or_create(options_.state, clock_));
    authority_.emplace(std::move(authority));
    ASSIGN_OR_RETURN(auto authentication, Authentication::load_or_create(options_.state));
    authentication_.emplace(std::move(authentication));
    if (shared != nullptr) RETURN_IF_ERROR(compare_keys(*shared, options_.state));
    using Rotate = SecretKeys::Rotate;
    ASSIGN_OR_RETURN(
        const SecretKeys keys,
        SecretKeys::load(options_.state, options_.rotate_secrets ? Rotate::kYes : Rotate::kNo));
    Store::Options store;
    store.seal = seal_ = keys.ring();
    store.audit_keep = options_.audit_keep;
    ASSIGN_OR_RETURN(store_, Store::open(std::move(log), clock_, store, derive));
    RETURN_IF_ERROR(keys.settle(*store_));
    // Again, for the one that may be new.
    if (shared != nullptr) RETURN_IF_ERROR(compare_keys(*shared, options_.state));
    RETURN_IF_ERROR(make_lease(shared));
    ASSIGN_OR_RETURN(contexts_, ContextDirectory::start(*store_));
    token_desk_ = std::make_unique<TokenDesk>(*store_, clock_);
    login_desk_ = std::make_unique<LoginDesk>(*store_, clock_, *web_,
                                              LoginDesk::Options{.at_once = options_.wrong_tokens});
    authentication_->limit_failures(options_.wrong_tokens);
    authentication_->set_account_tokens([this](std::string_view token, std::string_view address) {
      return token_desk_->admit(token, address);
    });
    return {};
  }

  Status make_lease(SharedLog* shared) {
    const std::string name = replica_name(options_);
    is_shared_ = shared != nullptr;
    if (!is_shared_) {
      lease_ = make_sole_lease(name);
      const auto derived = store_->write("system/derive", derive_everything);
      return derived ? Status() : derived.error();
    }
    lease_ = make_shared_lease(*store_, *shared, clock_, name, {}, [] {
      spdlog::error("another process has started under this server's name: this one ends");
      kill(getpid(), SIGTERM);  // to the process: the thread that waits for it takes it
    });
    // A new version's rules hold for what is there already from when a server of it is the holder.
    lease_->on_change([this](bool held) {
      if (!held) return;
      const auto derived = store_->write("system/derive", lease_->fenced(derive_everything));
      if (!derived) spdlog::warn("derive: {}", derived.error().message());
    });
    return {};
  }

  // Null: there are no others, and nothing of theirs to be looked at.
  Lease* others_lease() { return is_shared_ ? lease_.get() : nullptr; }

  Status watch_nodes() {
    FleetHealth::Options health;
    health.heartbeat = options_.heartbeat;
    health.lease = others_lease();
    health.simulated = options_.simulated;
    health.webhooks = options_.webhooks;
    health.alertmanagers = options_.alertmanagers;
    ASSIGN_OR_RETURN(health_, FleetHealth::start(*store_, clock_, *web_, health));
    Sessions::Options options;
    options.heartbeat = options_.heartbeat;
    options.server = lease_->server();
    if (is_shared_)
      options.report_of = [this](const std::string& server) { return lease_->report_of(server); };
    options.sign = signer();
    health_->listen(options, [this](const std::string& node) { return is_unplugged(node); });
    options.on_heartbeat = [this, judge = options.on_heartbeat](const std::string& node,
                                                                const pb::Heartbeat& heartbeat) {
      if (judge) judge(node, heartbeat);
      take_sessions(node, heartbeat);
    };
    ASSIGN_OR_RETURN(sessions_, Sessions::start(*store_, clock_, plans_, std::move(options)));
    health_->ask_by(sessions_.get());
    lease_->set_report([this] { return sessions_->report(); });
    desk_ = std::make_unique<JoinDesk>(*store_, clock_, signer(), authority_->certificate_pem());
    return {};
  }

  // What is left on a node that is drained.
  void take_sessions(const std::string& node, const pb::Heartbeat& heartbeat) {
    if (heartbeat.sessions().empty()) return;
    ToldSessions told = new_sessions(*store_->snapshot(), node, heartbeat);
    if (told.empty()) return;
    store_->write_async(
        kOrchestrationActor,
        [node, told = std::move(told)](Transaction& transaction) -> Status {
          note_sessions(transaction, node, told);
          return {};
        },
        [node](const Result<Committed>& done) {
          if (!done) spdlog::warn("sessions of node {}: {}", node, done.error().text());
        });
  }

  // A simulated node goes on talking when its machine, which is none, is switched off.
  bool is_unplugged(const std::string& node) const {
    if (!options_.simulated) return false;
    const SnapshotPtr snapshot = store_->snapshot();
    const auto* found = snapshot->find<pb::Node>(node);
    return found != nullptr && is_switched_off(*found);
  }

  SignNode signer() {
    return [this](std::string_view request, std::string_view node) -> Result<NodeCertificate> {
      ASSIGN_OR_RETURN(IssuedCertificate issued, authority_->sign_node(request, node));
      return NodeCertificate{std::move(issued.pem), std::move(issued.serial)};
    };
  }

  Status prepare_operations() {
    ProvisionStep provision{*machines_for(), host_address(), {}};
    if (options_.simulated) {
      RETURN_IF_ERROR(remember_simulated_machines());
      configurator_ = std::make_unique<FakeConfigurator>(options_.state / "simulated");
      std::filesystem::create_directories(options_.state / "simulated");
    } else {
      ASSIGN_OR_RETURN(const std::string key, ssh_public_key(options_.state));
      provision.authorized_keys.push_back(key);
      AnsibleOptions ansible;
      ansible.collections = options_.collection;
      ansible.private_key = options_.state / "ssh_key";
      configurator_ = make_ansible_configurator(std::move(ansible));
    }
    const ConfigureStep configure{*configurator_, advertised(), authority_->certificate_pem()};
    const ConvergeStep converge{*sessions_};
    operations_ = std::make_unique<Operations>(*store_, clock_, options_.state / "operations",
                                               Operations::Options{.lease = others_lease()});
    operations_->register_type(
        "apply",
        {{"provision", "machine", [provision](OperationContext& c) { return provision.run(c); }},
         {"configure", "config", [configure](OperationContext& c) { return configure.run(c); }},
         {"converge", "runtime", [converge](OperationContext& c) { return converge.run(c); }}});
    // Of rollouts, which watch what becomes of it themselves.
    operations_->register_type(
        "configure",
        {{"configure", "config", [configure](OperationContext& c) { return configure.run(c); }}});
    return {};
  }

  Status prepare_resolver() {
    txt_ = options_.txt;
    if (txt_ != nullptr) return {};
    ASSIGN_OR_RETURN(dns_, make_dns_txt_resolver(options_.resolver));
    txt_ = dns_.get();
    return {};
  }

  // Where the lease is.
  void keep_tenants() {
    fenced_ = std::make_unique<FencedStore>(*store_, *lease_);
    lease_->on_change([this](bool held) {
      tenants_.reset();
      health_->keep_incidents(held ? fenced_.get() : nullptr);
      if (!held) return;
      TenantKeeper::Options options;
      options.wake_operations = [this] { operations_->wake(); };
      auto keeper = TenantKeeper::start(*fenced_, clock_, *txt_, std::move(options));
      if (!keeper) return spdlog::error("tenants: {}", keeper.error().text());
      tenants_ = std::move(*keeper);
    });
  }

  // Where the lease is.
  void keep_orchestration() {
    lease_->on_change([this](bool held) {
      orchestration_.reset();
      if (!held) return;
      OrchestrationKeeper::Options options;
      options.budget = options_.disruption;
      options.wake_operations = [this] { operations_->wake(); };
      auto keeper = OrchestrationKeeper::start(*fenced_, clock_, std::move(options));
      if (!keeper) return spdlog::error("orchestration: {}", keeper.error().text());
      orchestration_ = std::move(*keeper);
    });
  }

  provisioning::Machines* machines_for() {
    if (options_.simulated)
      machines_ = std::make_unique<provisioning::FakeMachines>();
    else
      machines_ = provisioning::connect_hostd(options_.hostd);
    return machines_.get();
  }

  // Simulated machines are in memory only: those that an earlier server had are made again.
  Status remember_simulated_machines() {
    const SnapshotPtr snapshot = store_->snapshot();
    const auto nodes = local_nodes(*snapshot);
    if (nodes.empty()) return {};
    RETURN_IF_ERROR(machines_->ensure_fabric(fabric_of(*snapshot, host_address())));
    for (const auto& node : nodes) {
      if (node->status().machine().state() == pb::MACHINE_STATE_UNSPECIFIED) continue;
      RETURN_IF_ERROR(machines_->ensure(machine_spec(*snapshot, *node, {})));
      if (is_switched_off(*node))
        RETURN_IF_ERROR(machines_->set_power(node->metadata().name(), v1::MACHINE_POWER_OFF));
    }
    return {};
  }

  std::string advertised() const {
    return options_.advertise.empty() ? options_.listen_grpc : options_.advertise;
  }
  // Where the server stands in the machines' network; simulated ones have none.
  std::string host_address() const {
    if (options_.simulated) return {};
    const auto at = parse_host_port(advertised());
    return at && IpAddress::parse(at->host) ? at->host : std::string();
  }

  void add_methods() {
    const Fleet fleet{*store_,         clock_,     plans_,       *sessions_,
                      *operations_,    *machines_, *txt_,        options_.simulated,
                      clock_.wall(),   *contexts_, *token_desk_, seal_,
                      lease_->server()};
    add_fleet_methods(api_, fleet);
    add_account_methods(api_, fleet);
    add_login_methods(api_, fleet, *login_desk_);
    add_tenant_methods(api_, fleet);
    add_context_methods(api_, fleet);
    add_grant_methods(api_, fleet);
    add_machine_methods(api_, fleet);
    add_operation_methods(api_, fleet);
    add_inventory_methods(api_, fleet);
    add_diagnosis_methods(api_, fleet);
    add_orchestration_methods(api_, fleet);
    add_rollout_methods(api_, fleet);
    add_audit_methods(api_, fleet);
    add_backup_methods(api_, fleet, options_.state);
  }

  void add_metrics() {
    using Samples = std::vector<Metrics::Sample>;
    health_->add_metrics(metrics_);
    add_server_metrics(metrics_, {*store_, *sessions_, *desk_, *token_desk_, *login_desk_});
    metrics_.add("quartermaster_work_queue", [this] {
      return Samples{{"", static_cast<double>(workers_->waiting())}};
    });
    const auto add = [this](const char* name, auto of) {
      metrics_.add(name, [this, of] {
        const ConnectionCount* const rest = rest_connections_.load();
        if (rest == nullptr) return Samples{};  // asked before all is up
        return Samples{{"transport=\"grpc\"", static_cast<double>(of(grpc_->connections()))},
                       {"transport=\"rest\"", static_cast<double>(of(*rest))}};
      });
    };
    add("quartermaster_connections", [](const ConnectionCount& count) { return count.open(); });
    add("quartermaster_connections_refused_total",
        [](const ConnectionCount& count) { return count.refused(); });
  }

  Status serve() {
    workers_ = std::make_unique<Workers>(kWorkers, kWorkQueue);
    streams_ = std::make_unique<Workers>(kStreamWorkers, kStreamQueue);
    const ApiServing serving{api_, *authentication_, *workers_, *streams_, metrics_};
    agents_ = std::make_unique<AgentsService>(*desk_, *sessions_, metrics_);
    std::vector<std::string> names{"quartermaster", "localhost"};
    const auto addresses = server_addresses(options_, names);
    ASSIGN_OR_RETURN(const KeyAndCertificate server, authority_->issue_server(names, addresses));
    const TlsIdentity identity{server.key_pem, server.certificate_pem,
                               authority_->certificate_pem()};
    // Of what may be open a quarter is REST's and five eighths are gRPC's; the rest is for files
    // and programs.
    const int files = raise_file_limit();
    RestLimits limits;
    limits.connections = std::max(64, files / 4);
    limits.per_address = std::max(32, limits.connections / 2);
    GrpcLimits grpc_limits;
    grpc_limits.connections = std::max(64, files / 8 * 5);
    // Very many agents may share an address.
    grpc_limits.per_address = std::max(32, grpc_limits.connections / 8 * 7);
    ASSIGN_OR_RETURN(grpc_, GrpcServer::start(options_.listen_grpc, identity, serving,
                                              agents_.get(), grpc_limits));
    // Last, since it shows the others' metrics.
    ASSIGN_OR_RETURN(rest_, RestServer::start(options_.listen_rest, serving, limits,
                                              wants_rest_tls(options_) ? &identity : nullptr));
    rest_connections_ = &rest_->connections();
    return {};
  }

  // Ports may have been chosen by the system: they are left where scripts find them.
  Status announce() {
    const boost::json::object ports{{"grpc", grpc_port()}, {"rest", rest_port()}};
    RETURN_IF_ERROR(
        write_file(options_.state / "listening.json", boost::json::serialize(ports) + "\n", 0644));
    spdlog::info("serving revision {}: gRPC on {} (port {}), REST on {} (port {}){}",
                 store_->revision(), options_.listen_grpc, grpc_port(), options_.listen_rest,
                 rest_port(), options_.simulated ? "; machines are simulated, none is real" : "");
    return {};
  }

  // In order of dependency: what is below uses what is above.
  const QuartermasterOptions options_;
  Clock& clock_ = system_clock();
  Fd lock_;
  std::optional<Authority> authority_;
  std::optional<Authentication> authentication_;
  NodePlans plans_;
  std::shared_ptr<const SealKeys> seal_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Lease> lease_;
  bool is_shared_ = false;
  const std::unique_ptr<WebClient> web_ = make_web_client();
  std::unique_ptr<TokenDesk> token_desk_;
  std::unique_ptr<ContextDirectory> contexts_;
  std::unique_ptr<LoginDesk> login_desk_;
  std::unique_ptr<FleetHealth> health_;
  std::unique_ptr<Sessions> sessions_;
  std::unique_ptr<JoinDesk> desk_;
  std::unique_ptr<provisioning::Machines> machines_;
  std::unique_ptr<Configurator> configurator_;
  std::unique_ptr<Operations> operations_;
  std::unique_ptr<TxtResolver> dns_;
  TxtResolver* txt_ = nullptr;
  std::unique_ptr<FencedStore> fenced_;
  std::unique_ptr<TenantKeeper> tenants_;
  std::unique_ptr<OrchestrationKeeper> orchestration_;
  Api api_;
  Metrics metrics_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<Workers> streams_;
  std::unique_ptr<AgentsService> agents_;
  std::unique_ptr<GrpcServer> grpc_;
  std::unique_ptr<RestServer> rest_;
  // For its own threads, which may look before rest_ is set, and after it is not any more.
  std::atomic<const ConnectionCount*> rest_connections_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Quartermaster>> Quartermaster::start(const QuartermasterOptions& options) {
  auto server = std::make_unique<Server>(options);
  RETURN_IF_ERROR(server->begin());
  return std::unique_ptr<Quartermaster>(std::move(server));
}

}  // namespace frameworks
