// A change at 10,000 watchers: by gRPC, and by server-sent events, from the real server; beside it
// a bare gRPC server that pushes as many bytes to as many streams.
#include <fmt/format.h>
#include <sys/resource.h>

#include <unordered_set>

#include "bare_server.h"
#include "base/file.h"
#include "client.h"
#include "figure.h"
#include "fleet_maker.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/tenants_api.pb.h"

namespace frameworks::bench {
namespace {

constexpr int kRounds = 5;
constexpr int kStreamsAConnection = 250;
constexpr auto kPatience = std::chrono::seconds(60);

[[noreturn]] void fail(const std::string& why) {
  say("bench: " + why);
  std::exit(1);
}

// Turns the loop until it holds.
template <typename Done>
void wait_for(Loop& loop, const std::string& what, Done done) {
  const auto end = Clock::now() + kPatience;
  while (!done()) {
    loop.turn(std::chrono::milliseconds(10));
    if (Clock::now() > end) fail("waited too long for " + what);
  }
}

// Who has had something since it was last asked.
class Reached {
 public:
  void reset() { seen_.clear(), bytes_ = 0; }
  void add(uint64_t watcher, size_t bytes) {
    seen_.insert(watcher);
    bytes_ += bytes;
  }
  [[nodiscard]] size_t count() const { return seen_.size(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  std::unordered_set<uint64_t> seen_;
  size_t bytes_ = 0;
};

class GrpcWatchers {
 public:
  GrpcWatchers(Loop& loop, int port, int count, const std::string& path, const std::string& token,
               const std::string& request, GrpcClient::Side side) {
    for (int i = 0; i < count; ++i) {
      if (i % kStreamsAConnection == 0) connect(loop, port);
      last_ = clients_.back()->call(path, token, request, side);
    }
    wait_for(loop, "the watchers", [&] { return reached_.count() == static_cast<size_t>(count); });
  }
  Reached& reached() { return reached_; }
  void say_to_server(std::string_view message) { clients_.back()->send_message(last_, message); }

 private:
  void connect(Loop& loop, int port) {
    const uint64_t number = clients_.size() << 32;
    clients_.push_back(std::make_unique<GrpcClient>(
        loop, port, &tls_,
        GrpcClient::Events{[this, number](uint32_t stream, std::string_view message) {
                             reached_.add(number + stream, message.size());
                           },
                           [](uint32_t, uint64_t) { fail("a watch ended"); }}));
  }
  ClientTls tls_;
  Reached reached_;
  std::vector<std::unique_ptr<GrpcClient>> clients_;
  uint32_t last_ = 0;
};

// An event stream: whatever comes after the head is an event.
class SseWatcher final : public Wire {
 public:
  SseWatcher(Loop& loop, int port, const std::string& from, const std::string& request,
             uint64_t number, Reached& reached)
      : Wire(loop, port, nullptr, {from, {}}), number_(number), reached_(reached) {
    send(request);
  }
  void on_bytes(std::string_view bytes) override {
    if (first_ && !bytes.starts_with("HTTP/1.1 200")) fail(std::string(bytes.substr(0, 300)));
    first_ = false;
    if (bytes.find("data: ") != std::string_view::npos) reached_.add(number_, bytes.size());
  }

 private:
  const uint64_t number_;
  Reached& reached_;
  bool first_ = true;
};

// Makes a change through the API, as an operator would: an update of one tenant.
class Writer {
 public:
  Writer(Loop& loop, int port, const std::string& token)
      : token_(token), client_(loop, port, &tls_, {{}, [this](uint32_t, uint64_t answers) {
                                                     if (answers != 1)
                                                       fail("the change was refused");
                                                     done_ = true;
                                                   }}) {}
  void change(Loop& loop) {
    pb::UpdateTenantRequest request;
    request.mutable_tenant()->mutable_metadata()->set_name(tenant_name(0));
    request.mutable_tenant()->mutable_spec()->set_display_name(fmt::format("change {}", ++count_));
    request.add_fields("spec.display_name");
    done_ = false;
    client_.call("/frameworks.v1.Tenants/Update", token_, request.SerializeAsString(),
                 GrpcClient::Side::kEnds);
    (void)loop;
  }

 private:
  const std::string token_;
  ClientTls tls_;
  GrpcClient client_;
  bool done_ = false;
  int count_ = 0;
};

// Seconds until the last watcher has it.
template <typename Change>
double until_all(Loop& loop, Reached& reached, size_t watchers, Change change) {
  reached.reset();
  const auto began = Clock::now();
  change();
  wait_for(loop, "the change", [&] { return reached.count() == watchers; });
  return std::chrono::duration<double>(Clock::now() - began).count();
}

pb::WatchRequest watch_tenants(Revision from) {
  pb::WatchRequest request;
  request.add_kinds("Tenant");
  request.set_from_revision(from);
  return request;
}

void report(const std::string& how, int watchers, std::vector<double> took, double memory_kb,
            std::vector<double> baseline, const std::string& baseline_name) {
  const double slowest = *std::max_element(took.begin(), took.end());
  say(fmt::format("{}: slowest of all changes {:.3f} s", how, slowest));
  const double value = median(std::move(took));
  print({fmt::format("watchers_{} ({} watchers)", how, watchers), value, "s", "<= 1 s to the last",
         value <= 1, median(std::move(baseline)), baseline_name});
  print({fmt::format("watchers_{}_memory", how), memory_kb, "KB each", "<= 100 KB",
         memory_kb <= 100, 100, "the bound"});
}

void by_grpc(const ServerProcess& server, const std::filesystem::path& folder,
             const std::string& token, int count, Revision from) {
  Loop loop;
  const double before = resident_mb(server.pid());
  GrpcWatchers watchers(loop, server.grpc_port(), count, "/frameworks.v1.Fleet/Watch", token,
                        watch_tenants(from).SerializeAsString(), GrpcClient::Side::kEnds);
  Writer writer(loop, server.grpc_port(), token);
  std::vector<double> took;
  for (int round = 0; round < kRounds; ++round)
    took.push_back(until_all(loop, watchers.reached(), static_cast<size_t>(count),
                             [&] { writer.change(loop); }));
  const double memory = (resident_mb(server.pid()) - before) * 1024 / count;
  const size_t bytes = watchers.reached().bytes() / static_cast<size_t>(count);

  const BareProcess bare(folder, "bare-grpc", bytes, {});
  GrpcWatchers held(loop, bare.port(), count, "/hold", {}, "watch", GrpcClient::Side::kStaysOpen);
  std::vector<double> baseline;
  for (int round = 0; round < kRounds; ++round)
    baseline.push_back(until_all(loop, held.reached(), static_cast<size_t>(count),
                                 [&] { held.say_to_server("say it to all of them"); }));
  report("grpc", count, took, memory, baseline, "a bare gRPC server that pushes the same bytes");
}

void by_events(const ServerProcess& server, const std::string& token, int count, Revision from) {
  Loop loop;
  Reached reached;
  const double before = resident_mb(server.pid());
  const std::string request = fmt::format(
      "GET /v1/watch?kinds=Tenant&from_revision={} HTTP/1.1\r\nHost: localhost\r\nAccept: "
      "text/event-stream\r\nAuthorization: Bearer {}\r\n\r\n",
      from, token);
  std::vector<std::unique_ptr<SseWatcher>> watchers;
  for (int i = 0; i < count; ++i) {
    watchers.push_back(std::make_unique<SseWatcher>(loop, server.rest_port(),
                                                    fmt::format("127.0.0.{}", 2 + i % 50), request,
                                                    static_cast<uint64_t>(i), reached));
    if (i % 100 == 0) loop.turn(std::chrono::milliseconds(0));
  }
  wait_for(loop, "the event streams",
           [&] { return reached.count() == static_cast<size_t>(count); });
  Writer writer(loop, server.grpc_port(), token);
  std::vector<double> took;
  for (int round = 0; round < kRounds; ++round)
    took.push_back(
        until_all(loop, reached, static_cast<size_t>(count), [&] { writer.change(loop); }));
  const double memory = (resident_mb(server.pid()) - before) * 1024 / count;
  report("events", count, took, memory, {1.0}, "the aim: nothing else was run beside it");
}

// As many connections as this process may have at all.
void raise_files() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

void run() {
  raise_files();
  const int count = env_or("FW_BENCH_WATCHERS", 10'000);
  FleetSize size;
  size.tenants = 1000;
  size.nodes = 400;
  size.services = 1;
  const auto directory = TemporaryDirectory::make("frameworks-watchers");
  const auto state = directory->path() / "state";
  make_fleet(state, size);
  std::string token;
  Revision from = 0;
  {
    auto log = open_sqlite_log((state / "fleet.db").string());
    const auto store = std::move(*Store::open(std::move(*log), system_clock(), {}));
    token = make_token_in(*store);
    from = store->snapshot()->revision();
  }
  // A server each: what one has freed would hide what the other takes.
  const auto serve = [&] {
    return std::make_unique<ServerProcess>(state, std::vector<int>{},
                                           std::vector<std::string>{"--heartbeat", "3600s"});
  };
  by_grpc(*serve(), directory->path(), token, count, from);
  // The server gives a quarter of the files that it may open to REST.
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const int most = static_cast<int>(std::min<rlim_t>(files.rlim_max / 4, 1'000'000)) - 100;
  if (most < count)
    say(fmt::format("ulimit -Hn is {}: {} event streams instead of {}", files.rlim_max, most,
                    count));
  by_events(*serve(), token, std::min(count, most), from);
}

}  // namespace
}  // namespace frameworks::bench

int main(int argc, char** argv) {
  frameworks::bench::serve_if_asked(argc, argv);
  frameworks::bench::run();
}
