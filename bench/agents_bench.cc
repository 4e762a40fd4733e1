// 10,000 agents on the real server: memory and processor while they are quiet, and how long a
// change of one node takes to all of its peers.
//
// The agents are simulated in this process, a TLS connection with a certificate of its own each,
// with the agent's own messages; they take their plans, acknowledge them and send heartbeats. They
// share the processors with the server. Beside it a bare gRPC server that holds as many streams.
#include <fmt/format.h>

#include "bare_server.h"
#include "base/file.h"
#include "client.h"
#include "config/mesh/mesh_plan.h"
#include "figure.h"
#include "fleet_maker.h"
#include "frameworks/v1/agent.pb.h"
#include "machine/certificates/authority.h"

namespace frameworks::bench {
namespace {

constexpr std::chrono::seconds kHeartbeat{10};
constexpr const char* kSession = "/frameworks.v1.Agents/Session";

[[noreturn]] void fail(const std::string& why) {
  say("bench: " + why);
  std::exit(1);
}

std::string source_of(int number) { return fmt::format("127.0.0.{}", 2 + number % 50); }
std::string key_of(int number, int version) {
  return fmt::format("{:010}{:033}=", version, number);
}

class Agent {
 public:
  Agent(Loop& loop, int port, const ClientTls& tls, const std::string& certificate, int number)
      : number_(number),
        client_(loop, port, &tls,
                {[this](uint32_t, std::string_view bytes) { on_message(bytes); },
                 [](uint32_t, uint64_t) { fail("the server ended an agent's stream"); }},
                {source_of(number), certificate}) {
    stream_ = client_.call(kSession, {}, hello().SerializeAsString(), GrpcClient::Side::kStaysOpen);
  }

  // A new key is a change of this node for all of its peers.
  void change_key() {
    ++version_;
    send(hello());
  }
  void heartbeat() {
    pb::AgentMessage message;
    message.mutable_heartbeat()->set_sequence(++sequence_);
    send(message);
  }
  [[nodiscard]] std::string key() const { return key_of(number_, version_); }
  [[nodiscard]] bool has_plan() const { return !hashes_.empty(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

  // When a plan that names this key came; empty: wait for none.
  void expect(const std::string& key) {
    expected_ = key;
    came_ = {};
  }
  [[nodiscard]] Clock::time_point came() const { return came_; }

 private:
  pb::AgentMessage hello() const {
    pb::AgentMessage message;
    auto& hello = *message.mutable_hello();
    hello.set_version("1");
    hello.set_wireguard_public_key(key());
    hello.set_wireguard_backend("fake");
    hello.set_simulated(true);
    hello.mutable_section_hashes()->insert(hashes_.begin(), hashes_.end());
    return message;
  }
  void send(const pb::AgentMessage& message) {
    client_.send_message(stream_, message.SerializeAsString());
  }
  void on_message(std::string_view bytes) {
    bytes_ += bytes.size();
    if (!expected_.empty() && bytes.find(expected_) != std::string_view::npos) {
      came_ = Clock::now();
      expected_.clear();
    }
    pb::ServerMessage message;
    CHECK(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    if (!message.has_plan()) return;
    pb::AgentMessage answer;
    answer.mutable_ack()->set_revision(message.plan().revision());
    for (const auto& [section, hash] : message.plan().section_hashes()) {
      answer.mutable_ack()->add_applied(section);
      hashes_[section] = hash;
    }
    send(answer);
  }

  const int number_;
  int version_ = 0;
  int64_t sequence_ = 0;
  size_t bytes_ = 0;
  uint32_t stream_ = 0;
  std::map<std::string, std::string> hashes_;
  std::string expected_;
  Clock::time_point came_{};
  GrpcClient client_;
};

struct Fleet {
  FleetSize size;
  std::filesystem::path state;
  // Of the nodes whose keys change: their peers' numbers.
  std::map<int, std::vector<int>> peers;
};

Fleet make(const std::filesystem::path& folder) {
  Fleet fleet;
  fleet.size.nodes = env_or("FW_BENCH_AGENTS", 10'000);
  fleet.size.tenants = env_or("FW_BENCH_TENANTS", 10'000);
  fleet.size.services = 3;
  fleet.size.serving = true;
  fleet.state = folder / "state";
  make_fleet(fleet.state, fleet.size);
  auto log = open_sqlite_log((fleet.state / "fleet.db").string());
  const auto store = std::move(*Store::open(std::move(*log), system_clock(), {}));
  const SnapshotPtr snapshot = store->snapshot();
  std::map<std::string, int> numbers;
  for (int i = 0; i < fleet.size.nodes; ++i) numbers[node_name(i, fleet.size)] = i;
  for (int i = 0; i < env_or("FW_BENCH_CHANGES", 25); ++i) {
    const int number = 15 + (i * 397) % (fleet.size.nodes - 15);
    const auto* node = snapshot->find<pb::Node>(node_name(number, fleet.size));
    for (const std::string& name : mesh_neighbours(*snapshot, *node))
      fleet.peers[number].push_back(numbers.at(name));
  }
  return fleet;
}

class Agents {
 public:
  Agents(const Fleet& fleet, int port) : fleet_(fleet) {
    auto authority = Authority::load_or_create(fleet.state, system_clock());
    const auto request = make_certificate_request();
    tls_ = std::make_unique<ClientTls>(request->key_pem);
    for (int i = 0; i < fleet.size.nodes; ++i) {
      const auto issued = authority->sign_node(request->request_pem, node_name(i, fleet.size));
      if (!issued) fail(issued.error().text());
      all_.push_back(std::make_unique<Agent>(loop_, port, *tls_, issued->pem, i));
      if (i % 100 == 99) settle(static_cast<size_t>(i) + 1 - std::min(i + 1, 400));
    }
    settle(all_.size());
  }

  // Turns the loop until the first so many have their plan, and a moment more.
  void settle(size_t count) {
    const auto end = Clock::now() + std::chrono::minutes(5);
    while (planned_ < count) {
      beat();
      loop_.turn(std::chrono::milliseconds(20));
      while (planned_ < all_.size() && all_[planned_]->has_plan()) ++planned_;
      if (Clock::now() > end) fail(fmt::format("only {} agents have their plans", planned_));
    }
  }
  void turn_for(std::chrono::milliseconds length) {
    const auto end = Clock::now() + length;
    while (Clock::now() < end) {
      beat();
      loop_.turn(std::chrono::milliseconds(5));
    }
  }

  // Milliseconds until each of the peers has the change.
  std::vector<double> change(int number) {
    const auto& peers = fleet_.peers.at(number);
    Agent& agent = *all_[static_cast<size_t>(number)];
    const auto began = Clock::now();
    agent.change_key();
    for (const int peer : peers) all_[static_cast<size_t>(peer)]->expect(agent.key());
    std::vector<double> out;
    for (const int peer : peers) {
      const Agent& it = *all_[static_cast<size_t>(peer)];
      while (it.came() == Clock::time_point{}) {
        beat();
        loop_.turn(std::chrono::milliseconds(5));
        if (Clock::now() > began + std::chrono::seconds(60)) fail("a change did not arrive");
      }
      out.push_back(std::chrono::duration<double, std::milli>(it.came() - began).count());
    }
    return out;
  }
  [[nodiscard]] size_t bytes() const {
    size_t sum = 0;
    for (const auto& agent : all_) sum += agent->bytes();
    return sum;
  }

 private:
  // Every agent once in ten seconds, evenly.
  void beat() {
    const auto since = Clock::now() - began_;
    const auto due = static_cast<uint64_t>(since * static_cast<int64_t>(all_.size()) / kHeartbeat);
    if (due - beaten_ > all_.size()) beaten_ = due - all_.size();
    for (; beaten_ < due; ++beaten_) all_[beaten_ % all_.size()]->heartbeat();
  }

  const Fleet& fleet_;
  Loop loop_;
  std::unique_ptr<ClientTls> tls_;
  std::vector<std::unique_ptr<Agent>> all_;
  size_t planned_ = 0;
  const Clock::time_point began_ = Clock::now();
  uint64_t beaten_ = 0;
};

struct Cost {
  double kilobytes = 0;  // each
  double cores = 0;      // all together
};

// The same streams on a server with nothing behind it.
Cost bare_cost(const std::filesystem::path& folder, int count, std::chrono::seconds length) {
  const BareProcess bare(folder, "bare-grpc", 64, {});
  const double before = resident_mb(bare.pid());
  Loop loop;
  const ClientTls tls;
  int answers = 0;
  std::vector<std::unique_ptr<GrpcClient>> clients;
  std::vector<uint32_t> streams;
  const auto wait = [&](int wanted) {
    while (answers < wanted) loop.turn(std::chrono::milliseconds(20));
  };
  for (int i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<GrpcClient>(
        loop, bare.port(), &tls,
        GrpcClient::Events{[&](uint32_t, std::string_view) { ++answers; }, nullptr},
        From{source_of(i), {}}));
    streams.push_back(clients.back()->call("/hold", {}, "hello", GrpcClient::Side::kStaysOpen));
    if (i % 100 == 99) wait(i - 300);
  }
  wait(count);
  Cost out{(resident_mb(bare.pid()) - before) * 1024 / count};
  const double cpu = cpu_seconds(bare.pid());
  const auto began = Clock::now();
  uint64_t beaten = 0;
  while (Clock::now() < began + length) {
    const auto due = static_cast<uint64_t>((Clock::now() - began) * count / kHeartbeat);
    for (; beaten < due; ++beaten)
      clients[beaten % clients.size()]->send_message(streams[beaten % streams.size()], "beat");
    loop.turn(std::chrono::milliseconds(5));
  }
  out.cores = (cpu_seconds(bare.pid()) - cpu) / static_cast<double>(length.count());
  return out;
}

// Milliseconds until the last of so many streams of a bare server has so many bytes.
double bare_push(const std::filesystem::path& folder, int streams, size_t bytes) {
  const BareProcess bare(folder, "bare-grpc", bytes, {});
  Loop loop;
  const ClientTls tls;
  int answers = 0;
  std::vector<std::unique_ptr<GrpcClient>> clients;
  uint32_t last = 0;
  for (int i = 0; i < streams; ++i) {
    clients.push_back(std::make_unique<GrpcClient>(
        loop, bare.port(), &tls,
        GrpcClient::Events{[&](uint32_t, std::string_view) { ++answers; }, nullptr}));
    last = clients.back()->call("/hold", {}, "hello", GrpcClient::Side::kStaysOpen);
  }
  while (answers < streams) loop.turn(std::chrono::milliseconds(20));
  std::vector<double> took;
  for (int round = 0; round < 25; ++round) {
    answers = 0;
    const auto began = Clock::now();
    clients.back()->send_message(last, "say it to all of them");
    while (answers < streams) loop.turn(std::chrono::milliseconds(5));
    took.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
  }
  return median(took);
}

void run() {
  const auto directory = TemporaryDirectory::make("frameworks-agents");
  const Fleet fleet = make(directory->path());
  const std::chrono::seconds length{env_or("FW_BENCH_SECONDS", 30)};
  const int count = fleet.size.nodes;
  const ServerProcess server(fleet.state, {}, {"--heartbeat", "10s"});
  system_clock().sleep_for(std::chrono::seconds(2), {});
  const double before = resident_mb(server.pid());
  const double cpu_before = cpu_seconds(server.pid());
  std::unique_ptr<Agents> agents;
  const double connecting =
      seconds([&] { agents = std::make_unique<Agents>(fleet, server.grpc_port()); });
  say(fmt::format("{} agents have their plans after {:.1f} s ({:.1f} s of the server's processor)",
                  count, connecting, cpu_seconds(server.pid()) - cpu_before));
  agents->turn_for(std::chrono::seconds(15));
  const double memory = (resident_mb(server.pid()) - before) * 1024 / count;
  const double cpu = cpu_seconds(server.pid());
  agents->turn_for(length);
  const double cores = (cpu_seconds(server.pid()) - cpu) / static_cast<double>(length.count());
  const size_t told = agents->bytes();
  std::vector<double> times;
  size_t arrivals = 0;
  for (const auto& [number, peers] : fleet.peers) {
    for (const double took : agents->change(number)) times.push_back(took);
    arrivals += peers.size();
    agents->turn_for(std::chrono::milliseconds(300));
  }
  const size_t peers = arrivals / fleet.peers.size();
  const size_t bytes = (agents->bytes() - told) / arrivals;
  agents.reset();
  std::sort(times.begin(), times.end());
  const double tail = times[times.size() * 99 / 100];
  say(fmt::format("{} changes at {} peers each: half within {:.1f} ms, slowest {:.1f} ms",
                  fleet.peers.size(), peers, times[times.size() / 2], times.back()));
  const Cost bare = bare_cost(directory->path(), count, length);
  print({fmt::format("agents_memory ({} agents)", count), memory, "KB each", "<= 100 KB",
         memory <= 100, bare.kilobytes, "a bare gRPC server that holds as many streams"});
  print({"agents_cpu", cores, "cores", "<= 0.3", cores <= 0.3, std::max(bare.cores, 1e-3),
         "the bare gRPC server with the same heartbeats"});
  print({"agents_change_p99", tail, "ms", "<= 100 ms at all peers", tail <= 100,
         bare_push(directory->path(), static_cast<int>(peers), bytes),
         "the bare gRPC server, as many bytes to as many streams"});
}

}  // namespace
}  // namespace frameworks::bench

int main(int argc, char** argv) {
  frameworks::bench::serve_if_asked(argc, argv);
  frameworks::bench::run();
}
