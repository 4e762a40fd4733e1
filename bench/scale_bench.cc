// The server's memory and its start with a million tenants, on a state folder made by the store.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <unordered_map>

#include "base/file.h"
#include "figure.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/validate.h"
#include "server/derive.h"
#include "store/store.h"

namespace frameworks {
namespace {

using bench::say;

struct Size {
  int tenants = 1'000'000;
  int nodes = 10'000;
  int services = 10;
  int per_cluster = 50;
};

double resident_mb(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
  return 0;
}

template <typename T>
void put(Transaction& transaction, T message) {
  apply_defaults(message);
  transaction.put(std::move(message));
}

std::string cluster_name(int number) { return fmt::format("cluster-{}", number); }

void put_cluster(Transaction& transaction, int number) {
  pb::Cluster cluster;
  cluster.mutable_metadata()->set_name(cluster_name(number));
  auto& spec = *cluster.mutable_spec();
  spec.set_tier(number == 0   ? pb::TIER_CENTRAL
                : number <= 4 ? pb::TIER_REGIONAL
                              : pb::TIER_EDGE);
  spec.set_region(fmt::format("region-{}", number % 4));
  spec.set_sharing(pb::SHARING_SHARED);
  spec.mutable_networks()->set_mesh(fmt::format("10.{}.{}.0/24", 100 + number / 256, number % 256));
  put(transaction, std::move(cluster));
}

// Three central nodes, three regional ones in each of four regions, the others at edges.
int cluster_of(int number, const Size& size) {
  return number < 15 ? number / 3 : 5 + number % (size.nodes / size.per_cluster - 5);
}

void put_node(Transaction& transaction, int number, const Size& size) {
  const int cluster = cluster_of(number, size);
  pb::Node node;
  node.mutable_metadata()->set_name(fmt::format("node-{}-{}", cluster, number));
  node.mutable_spec()->set_cluster(cluster_name(cluster));
  node.mutable_spec()->set_address(fmt::format("198.18.{}.{}", number / 250, number % 250 + 1));
  auto& agent = *node.mutable_status()->mutable_agent();
  agent.set_version("1");
  agent.set_wireguard_public_key(fmt::format("{:043}=", number));
  agent.mutable_join_time()->set_seconds(1'700'000'000);
  put(transaction, std::move(node));
}

void put_service(Transaction& transaction, int number) {
  pb::Service service;
  service.mutable_metadata()->set_name(fmt::format("service-{}", number));
  auto& port = *service.mutable_spec()->add_ports();
  port.set_name("main");
  port.set_port(8000 + number);
  port.set_exposure(pb::EXPOSURE_MESH);
  service.mutable_spec()->set_tenant_facing(number == 0);
  put(transaction, std::move(service));
}

pb::Tenant tenant_of(int number) {
  pb::Tenant tenant;
  tenant.mutable_metadata()->set_name(fmt::format("tenant-{}", number));
  auto& spec = *tenant.mutable_spec();
  spec.set_display_name(fmt::format("Tenant number {}", number));
  spec.set_plan(number % 10 == 0 ? "pro" : "free");
  (*spec.mutable_features())["recording"].set_bool_value(number % 3 == 0);
  spec.mutable_limits()->set_streams(100);
  spec.mutable_limits()->set_viewers(10'000);
  return tenant;
}

pb::Grant grant_of(int number, const Size& size) {
  const int clusters = size.nodes / size.per_cluster;
  pb::Grant grant;
  grant.mutable_metadata()->set_name("main");
  grant.mutable_metadata()->set_tenant(fmt::format("tenant-{}", number));
  grant.mutable_spec()->set_cluster(cluster_name(5 + number % (clusters - 5)));
  return grant;
}

void write(Store& store, const Edit& edit) {
  const auto written = store.write("system/bench", edit);
  if (!written) {
    say(written.error().text());
    std::exit(1);
  }
}

// Through the store, as a server would have written it.
void generate(const std::filesystem::path& state, const Size& size) {
  std::filesystem::create_directories(state);
  auto log = open_sqlite_log((state / "fleet.db").string());
  Store::Options options;
  options.retain = 10;
  auto opened = Store::open(std::move(*log), system_clock(), options, derive);
  Store& store = **opened;
  write(store, [&](Transaction& transaction) -> Status {
    for (int i = 0; i < size.services; ++i) put_service(transaction, i);
    for (int i = 0; i < size.nodes / size.per_cluster; ++i) put_cluster(transaction, i);
    return {};
  });
  constexpr int kPart = 5'000;
  for (int first = 0; first < size.nodes; first += kPart)
    write(store, [&](Transaction& transaction) -> Status {
      for (int i = first; i < std::min(first + kPart, size.nodes); ++i)
        put_node(transaction, i, size);
      return {};
    });
  for (int first = 0; first < size.tenants; first += kPart)
    write(store, [&](Transaction& transaction) -> Status {
      for (int i = first; i < std::min(first + kPart, size.tenants); ++i) {
        put(transaction, tenant_of(i));
        put(transaction, grant_of(i, size));
      }
      return {};
    });
}

struct Started {
  double seconds = 0;
  double megabytes = 0;
};

// The real server on the folder, until it serves.
Started start_server(const std::filesystem::path& state) {
  const auto listening = state / "listening.json";
  std::filesystem::remove(listening);
  const auto began = std::chrono::steady_clock::now();
  const pid_t pid = fork();
  if (pid == 0) {
    const int log = open((state / "server.log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(log, 2);
    execl(FW_QUARTERMASTER, "quartermaster", "--state", state.c_str(), "--machines", "simulated",
          "--listen-grpc", "127.0.0.1:0", "--listen-rest", "127.0.0.1:0", nullptr);
    _exit(127);
  }
  Started out;
  while (!std::filesystem::exists(listening)) {
    if (waitpid(pid, nullptr, WNOHANG) != 0) {
      say("the server ended: " + read_file(state / "server.log").value_or(""));
      std::exit(1);
    }
    system_clock().sleep_for(std::chrono::milliseconds(10), {});
  }
  out.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  // What starting left to be done, e.g. planning: the highest of some seconds counts.
  for (int i = 0; i < 50; ++i) {
    system_clock().sleep_for(std::chrono::milliseconds(100), {});
    out.megabytes = std::max(out.megabytes, resident_mb(pid));
  }
  kill(pid, SIGTERM);
  waitpid(pid, nullptr, 0);
  return out;
}

// The same tenants, grants and as many instances as parsed messages in a hash map.
double plain_map_mb(const Size& size) {
  malloc_trim(0);
  const double before = resident_mb(getpid());
  std::unordered_map<std::string, std::shared_ptr<const Message>> map;
  for (int i = 0; i < size.tenants; ++i) {
    map["Tenant/" + std::to_string(i)] = std::make_shared<pb::Tenant>(tenant_of(i));
    map["Grant/" + std::to_string(i)] = std::make_shared<pb::Grant>(grant_of(i, size));
  }
  return resident_mb(getpid()) - before;
}

// Every byte of the database file, from the page cache or the disk, as the server gets them.
double raw_read_seconds(const std::filesystem::path& state) {
  return bench::seconds([&] {
    std::ifstream file(state / "fleet.db", std::ios::binary);
    std::vector<char> buffer(1 << 20);
    while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()))) {
    }
  });
}

}  // namespace
}  // namespace frameworks

int main() {
  using namespace frameworks;
  Size size;
  if (const char* tenants = std::getenv("FW_BENCH_TENANTS")) size.tenants = std::atoi(tenants);
  const auto directory = TemporaryDirectory::make("frameworks-scale");
  const auto state = directory->path() / "state";
  bench::say(fmt::format("writing {} tenants with a grant each, {} nodes, {} instances",
                         size.tenants, size.nodes, size.nodes * size.services));
  bench::say(fmt::format("written in {:.1f} s", bench::seconds([&] { generate(state, size); })));
  std::vector<double> seconds;
  std::vector<double> megabytes;
  std::vector<double> raw;
  for (int i = 0; i < 5; ++i) {
    const Started started = start_server(state);
    bench::say(fmt::format("start {:.2f} s, {:.0f} MB", started.seconds, started.megabytes));
    seconds.push_back(started.seconds);
    megabytes.push_back(started.megabytes);
    raw.push_back(raw_read_seconds(state));
  }
  const double resident = bench::median(megabytes);
  bench::print({"scale_resident", resident, "MB", "<= 1500 MB", resident <= 1500,
                plain_map_mb(size), "the tenants and grants as messages in an unordered_map"});
  const double start = bench::median(seconds);
  bench::print({"scale_start", start, "s", "<= 10 s", start <= 10, bench::median(raw),
                "reading the database file"});
  return 0;
}
