#include "fleet_maker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "figure.h"
#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/validate.h"
#include "runtime/access/token.h"
#include "server/derive.h"

namespace frameworks::bench {
namespace {

[[noreturn]] void fail(const std::string& why) {
  say(why);
  std::exit(1);
}

template <typename T>
void put(Transaction& transaction, T message) {
  apply_defaults(message);
  transaction.put(std::move(message));
}

void write(Store& store, const Edit& edit) {
  const auto written = store.write("system/bench", edit);
  if (!written) fail(written.error().text());
}

void put_cluster(Transaction& transaction, int number) {
  pb::Cluster cluster;
  cluster.mutable_metadata()->set_name(cluster_name(number));
  auto& spec = *cluster.mutable_spec();
  spec.set_tier(number == 0 ? pb::TIER_CENTRAL : number <= 4 ? pb::TIER_REGIONAL : pb::TIER_EDGE);
  spec.set_region(fmt::format("region-{}", number % 4));
  spec.set_sharing(pb::SHARING_SHARED);
  spec.mutable_networks()->set_mesh(fmt::format("10.{}.{}.0/24", 100 + number / 256, number % 256));
  put(transaction, std::move(cluster));
}

int cluster_of(int number, const FleetSize& size) {
  return number < 15 ? number / 3 : 5 + number % (size.nodes / size.per_cluster - 5);
}

void put_node(Transaction& transaction, int number, const FleetSize& size) {
  pb::Node node;
  node.mutable_metadata()->set_name(node_name(number, size));
  node.mutable_spec()->set_cluster(cluster_name(cluster_of(number, size)));
  node.mutable_spec()->set_address(fmt::format("198.18.{}.{}", number / 250, number % 250 + 1));
  auto& agent = *node.mutable_status()->mutable_agent();
  agent.set_version("1");  // as the agents of agents_bench.cc say hello: nothing is written then
  agent.set_wireguard_backend("fake");
  agent.set_simulated(true);
  agent.set_wireguard_public_key(fmt::format("{:043}=", number));
  agent.mutable_join_time()->set_seconds(1'700'000'000);
  if (size.serving) node.mutable_status()->mutable_health()->set_state(pb::HEALTH_HEALTHY);
  put(transaction, std::move(node));
}

void put_service(Transaction& transaction, int number, const FleetSize& size) {
  pb::Service service;
  service.mutable_metadata()->set_name(fmt::format("service-{}", number));
  auto& port = *service.mutable_spec()->add_ports();
  port.set_name("main");
  port.set_port(8000 + number);
  port.set_exposure(pb::EXPOSURE_MESH);
  service.mutable_spec()->set_tenant_facing(number == 0);
  if (number == 0 && size.serving) {
    port.set_exposure(pb::EXPOSURE_PUBLIC);
    port.set_url("rtmp://{address}:{port}/live");
  }
  put(transaction, std::move(service));
}

// In transactions of a few thousand.
void in_parts(Store& store, int count, const std::function<void(Transaction&, int)>& each) {
  constexpr int kPart = 5'000;
  for (int first = 0; first < count; first += kPart)
    write(store, [&](Transaction& transaction) -> Status {
      for (int i = first; i < std::min(first + kPart, count); ++i) each(transaction, i);
      return {};
    });
}

void make_instances_healthy(Store& store) {
  const SnapshotPtr snapshot = store.snapshot();
  const auto instances = snapshot->find_by<pb::Instance>("service", "service-0");
  in_parts(store, static_cast<int>(instances.size()), [&](Transaction& transaction, int i) {
    pb::Instance instance = *instances[static_cast<size_t>(i)];
    instance.mutable_status()->set_state(pb::HEALTH_HEALTHY);
    transaction.put(std::move(instance));
  });
}

}  // namespace

std::string cluster_name(int number) { return fmt::format("cluster-{}", number); }
std::string tenant_name(int number) { return fmt::format("tenant-{}", number); }
std::string node_name(int number, const FleetSize& size) {
  return fmt::format("node-{}-{}", cluster_of(number, size), number);
}

pb::Tenant tenant_of(int number) {
  pb::Tenant tenant;
  tenant.mutable_metadata()->set_name(tenant_name(number));
  auto& spec = *tenant.mutable_spec();
  spec.set_display_name(fmt::format("Tenant number {}", number));
  spec.set_plan(number % 10 == 0 ? "pro" : "free");
  (*spec.mutable_features())["recording"].set_bool_value(number % 3 == 0);
  spec.mutable_limits()->set_streams(100);
  spec.mutable_limits()->set_viewers(10'000);
  return tenant;
}

pb::Grant grant_of(int number, const FleetSize& size) {
  const int clusters = size.nodes / size.per_cluster;
  pb::Grant grant;
  grant.mutable_metadata()->set_name("main");
  grant.mutable_metadata()->set_tenant(tenant_name(number));
  grant.mutable_spec()->set_cluster(cluster_name(5 + number % (clusters - 5)));
  return grant;
}

void make_fleet(const std::filesystem::path& state, const FleetSize& size) {
  std::filesystem::create_directories(state);
  auto log = open_sqlite_log((state / "fleet.db").string());
  if (!log) fail(log.error().text());
  Store::Options options;
  options.retain = 10;
  auto opened = Store::open(std::move(*log), system_clock(), options, derive);
  if (!opened) fail(opened.error().text());
  Store& store = **opened;
  write(store, [&](Transaction& transaction) -> Status {
    for (int i = 0; i < size.services; ++i) put_service(transaction, i, size);
    for (int i = 0; i < size.nodes / size.per_cluster; ++i) put_cluster(transaction, i);
    return {};
  });
  in_parts(store, size.nodes,
           [&](Transaction& transaction, int i) { put_node(transaction, i, size); });
  if (size.serving) make_instances_healthy(store);
  in_parts(store, size.tenants, [&](Transaction& transaction, int i) {
    put(transaction, tenant_of(i));
    put(transaction, grant_of(i, size));
  });
}

std::string make_token_in(Store& store) {
  const NewToken token = make_token("bench");
  write(store, [&](Transaction& transaction) -> Status {
    pb::Account account;
    account.mutable_metadata()->set_name("bench");
    account.mutable_spec()->set_role(pb::ROLE_ADMIN);
    put(transaction, std::move(account));
    pb::AccessToken access;
    access.mutable_metadata()->set_name("bench");
    access.mutable_spec()->set_account("bench");
    access.mutable_spec()->set_role(pb::ROLE_ADMIN);
    access.mutable_spec()->set_secret_hash(token.secret_hash);
    put(transaction, std::move(access));
    return {};
  });
  return token.text;
}

double resident_mb(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
  return 0;
}

double cpu_seconds(pid_t pid, double* in_user) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 2)));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (in_user != nullptr) *in_user = user / ticks;
  return (user + system) / ticks;
}

std::vector<int> processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> out;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set)) out.push_back(i);
  return out;
}

void run_on(const std::vector<int>& which) {
  if (which.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int each : which) CPU_SET(each, &set);
  sched_setaffinity(0, sizeof set, &set);
}

Child::Child(const std::vector<std::string>& argv, const std::vector<int>& on,
             const std::filesystem::path& log) {
  std::vector<char*> arguments;
  for (const std::string& each : argv) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  run_on(on);
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(out, 1);
  dup2(out, 2);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

bool Child::running() {
  if (pid_ <= 0) return false;
  if (waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

ServerProcess::ServerProcess(const std::filesystem::path& state, const std::vector<int>& on,
                             const std::vector<std::string>& options) {
  const auto listening = state / "listening.json";
  const auto log = state / "server.log";
  std::filesystem::remove(listening);
  std::vector<std::string> argv{FW_QUARTERMASTER, "--state",       state.string(),
                                "--machines",     "simulated",     "--listen-grpc",
                                "127.0.0.1:0",    "--listen-rest", "127.0.0.1:0"};
  argv.insert(argv.end(), options.begin(), options.end());
  seconds_ = seconds([&] {
    child_ = std::make_unique<Child>(argv, on, log);
    while (!std::filesystem::exists(listening)) {
      if (!child_->running()) fail("the server ended: " + read_file(log).value_or(""));
      system_clock().sleep_for(std::chrono::milliseconds(10), {});
    }
  });
  const auto ports = boost::json::parse(read_file(listening).value_or("{}"));
  grpc_ = static_cast<int>(ports.at("grpc").as_int64());
  rest_ = static_cast<int>(ports.at("rest").as_int64());
}

int env_or(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

}  // namespace frameworks::bench
