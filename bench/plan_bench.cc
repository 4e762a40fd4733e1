// The plan of a whole fleet, as `frameworks plan -f` makes it: the program reads the file, the real
// server plans, the program prints. Of a fleet that is new, and of one that is as the file says.
// Beside it: yaml-cpp reading the same file and doing nothing.
#include <yaml-cpp/yaml.h>

#include <fstream>

#include "base/file.h"
#include "base/process.h"
#include "figure.h"
#include "fleet_maker.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/documents.h"
#include "model/validate.h"
#include "runtime/inventory/inventory.h"
#include "server/derive.h"

namespace frameworks::bench {
namespace {

constexpr int kRounds = 5;
constexpr int kPerCluster = 50;
constexpr int kServices = 3;

enum class Nodes { kPools, kEach };

[[noreturn]] void fail(const std::string& why) {
  say(why);
  std::exit(1);
}

const char* tier_of(int cluster) {
  return cluster == 0 ? "central" : cluster <= 4 ? "regional" : "edge";
}

int size_of(int cluster) { return cluster <= 4 ? 3 : kPerCluster; }

// A fleet file. Central and regional clusters are small, as they are.
std::string fleet_yaml(int nodes, Nodes how) {
  std::string out;
  for (int i = 0; i < kServices; ++i)
    out += fmt::format(
        "---\napiVersion: frameworks/v1\nkind: Service\nmetadata: {{name: service-{}}}\nspec:\n"
        "  role: role-{}\n  ports: [{{name: main, port: {}, exposure: mesh}}]\n",
        i, i, 8000 + i);
  for (int cluster = 0, made = 0; made < nodes; ++cluster) {
    const int count = std::min(size_of(cluster), nodes - made);
    const int third = cluster + 1;  // 10.0.0.1 is the host's
    out += fmt::format(
        "---\napiVersion: frameworks/v1\nkind: Cluster\nmetadata: {{name: cluster-{}}}\nspec:\n"
        "  tier: {}\n  region: region-{}\n  networks: {{machines: 10.{}.{}.0/24, mesh: "
        "10.{}.{}.0/24}}\n",
        cluster, tier_of(cluster), cluster % 4, third / 256, third % 256, 100 + cluster / 256,
        cluster % 256);
    if (how == Nodes::kPools)
      out += fmt::format(
          "---\napiVersion: frameworks/v1\nkind: MachinePool\nmetadata: {{name: pool-{}}}\nspec: "
          "{{cluster: cluster-{}, provider: local, count: {}}}\n",
          cluster, cluster, count);
    for (int i = 0; how == Nodes::kEach && i < count; ++i)
      out += fmt::format(
          "---\napiVersion: frameworks/v1\nkind: Node\nmetadata:\n  name: node-{}-{}\n"
          "spec:\n  cluster: cluster-{}\n  address: 10.{}.{}.{}\n",
          cluster, i, cluster, third / 256, third % 256, i + 1);
    made += count;
  }
  return out;
}

void write(Store& store, const Edit& edit) {
  const auto written = store.write("system/bench", edit);
  if (!written) fail(written.error().text());
}

// The fleet as it is after everything was applied and has converged.
void make_state(const std::filesystem::path& state, const std::string& yaml) {
  std::filesystem::create_directories(state);
  auto log = open_sqlite_log((state / "fleet.db").string());
  if (!log) fail(log.error().text());
  auto opened = Store::open(std::move(*log), system_clock(), {}, derive);
  if (!opened) fail(opened.error().text());
  Store& store = **opened;
  const auto documents = parse_documents(yaml, "fleet.yaml");
  if (!documents) fail(documents.error().text());
  write(store, [&](Transaction& transaction) -> Status {
    for (const Document& document : *documents) {
      const Resource whole = with_defaults(document.resource);
      std::shared_ptr<Message> message(whole.message().New());
      message->CopyFrom(whole.message());
      (*whole.kind().mutable_metadata(*message).mutable_annotations())["frameworks/applied"] =
          "true";
      transaction.put(Resource(whole.kind(), message));
    }
    return {};
  });
  const SnapshotPtr snapshot = store.snapshot();
  write(store, [&](Transaction& transaction) -> Status {
    for (const auto& node : snapshot->list<pb::Node>()) {
      pb::Node next = *node;
      pb::NodeStatus& status = *next.mutable_status();
      status.mutable_machine()->set_state(pb::MACHINE_STATE_RUNNING);
      status.mutable_configuration()->set_version(host_version(*snapshot, *node));
      status.mutable_agent()->set_wireguard_public_key("key");
      status.mutable_agent()->mutable_join_time()->set_seconds(1);
      transaction.put(std::move(next));
    }
    return {};
  });
}

double yaml_cpp_ms(const std::string& yaml) {
  size_t documents = 0;
  const double took = seconds([&] { documents = YAML::LoadAll(yaml).size(); }) * 1000;
  if (documents == 0) fail("yaml-cpp read nothing");
  return took;
}

struct Wanted {
  std::string name;
  double aim_ms = 0;
  bool empty = false;  // the plan
};

void measure(const ServerProcess& server, const std::filesystem::path& state,
             const std::string& yaml, const std::filesystem::path& file, const Wanted& wanted) {
  std::ofstream(file) << yaml;
  const std::vector<std::string> command{
      FW_FRAMEWORKS,  "plan",
      "-f",           file.string(),
      "--server",     fmt::format("127.0.0.1:{}", server.grpc_port()),
      "--token-file", (state / "admin.token").string(),
      "--ca-file",    (state / "ca.pem").string()};
  std::vector<double> values;
  std::vector<double> baselines;
  for (int round = 0; round <= kRounds; ++round) {
    size_t lines = 0;
    const double took =
        seconds([&] {
          const auto done = run({.argv = command});
          if (!done) fail(done.error().text());
          if (done->exit_code != 0) fail(done->out + done->err);
          lines = static_cast<size_t>(std::count(done->out.begin(), done->out.end(), '\n'));
        }) *
        1000;
    if (wanted.empty ? lines > 5 : lines < 100) fail(fmt::format("the plan has {} lines", lines));
    if (round == 0) {
      say(fmt::format("{}: {} lines, {:.2f} MB of YAML", wanted.name, lines,
                      static_cast<double>(yaml.size()) / 1e6));
      continue;
    }
    values.push_back(took);
    baselines.push_back(yaml_cpp_ms(yaml));
  }
  const double value = median(values);
  print({wanted.name, value, "ms", fmt::format("<= {:.0f} ms", wanted.aim_ms),
         value <= wanted.aim_ms, median(baselines), "yaml-cpp reading the same file"});
}

}  // namespace
}  // namespace frameworks::bench

int main() {
  using namespace frameworks;
  using namespace frameworks::bench;
  const int nodes = env_or("FW_BENCH_NODES", 10'000);
  const auto directory = TemporaryDirectory::make("frameworks-plan");
  const auto file = directory->path() / "fleet.yaml";
  for (const auto& [name, how] : std::vector<std::pair<std::string, Nodes>>{
           {"pools", Nodes::kPools}, {"nodes", Nodes::kEach}}) {
    const std::string yaml = fleet_yaml(nodes, how);
    {
      const auto state = directory->path() / (name + "-new");
      const ServerProcess server(state, {});
      measure(server, state, yaml, file, {"plan_new_" + name, 1000, false});
    }
    const auto state = directory->path() / (name + "-same");
    make_state(state, yaml);
    const ServerProcess server(state, {});
    measure(server, state, yaml, file, {"plan_noop_" + name, 300, true});
  }
  return 0;
}
