// A tenant's context: from memory in this process, by gRPC and by REST from the real server, each
// beside the barest thing that could answer the same, in turns.
//
// Server and client are processes of their own, each on one processor. Rates are answers for each
// second of processor time that the server used, so that they are "a core" whatever else runs.
#include <fmt/format.h>

#include <fstream>
#include <random>
#include <thread>
#include <unordered_map>

#include "bare_server.h"
#include "base/file.h"
#include "base/read_section.h"
#include "client.h"
#include "figure.h"
#include "fleet_maker.h"
#include "runtime/tenants/context_directory.h"
#include "stalls.h"

namespace frameworks::bench {
namespace {

constexpr int kRounds = 5;

struct Setup {
  FleetSize size;
  std::filesystem::path folder;
  std::filesystem::path state;
  std::string token;
  std::chrono::milliseconds round{2000};
  int hot = 100'000;  // tenants that are asked for
};

// ---- In this process.

std::vector<std::string> names_of(int among, int count) {
  std::mt19937_64 random(7);
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i)
    out.push_back(tenant_name(static_cast<int>(random() % static_cast<uint64_t>(among))));
  return out;
}

template <typename Find>
double lookups_per_second(const std::vector<std::string>& names, int threads, Find find) {
  std::atomic<size_t> found = 0;
  const double took = seconds([&] {
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t)
      all.emplace_back([&] {
        size_t here = 0;
        for (const std::string& name : names) here += find(name);
        found += here;
      });
  });
  CHECK(found == names.size() * static_cast<size_t>(threads));
  return static_cast<double>(names.size()) * threads / took;
}

void in_process(Store& store, const Setup& setup) {
  const auto directory = std::move(*ContextDirectory::start(store));
  const auto names = names_of(setup.hot, 1'000'000);
  // A section for each look-up, as a request would have; what was not prepared, or no longer is
  // good, is asked for after it.
  const auto ours = [&](const std::string& name) {
    {
      const ReadSection section;
      if (const ReadyAnswer* answer = directory->find_prepared(section, name))
        return answer->revision > 0 ? 1U : 0U;
    }
    const Ready ready = directory->find(name);
    return ready != nullptr && ready->revision > 0 ? 1U : 0U;
  };
  // The same answers in a map that nobody changes, and no reference counted either.
  std::unordered_map<std::string, Ready> map;
  for (int i = 0; i < setup.hot; ++i) map[tenant_name(i)] = directory->find(tenant_name(i));
  const auto plain = [&](const std::string& name) {
    const auto at = map.find(name);
    return at != map.end() && at->second->revision > 0 ? 1U : 0U;
  };
  say(fmt::format("in process: {} lookups among {} of {} tenants, {} bytes each", names.size(),
                  setup.hot, setup.size.tenants, joined(map.begin()->second->proto).size()));
  for (const int threads : {1, 2}) {
    std::vector<double> values;
    std::vector<double> baselines;
    for (int round = 0; round <= kRounds; ++round) {
      const double value = lookups_per_second(names, threads, ours);
      const double baseline = lookups_per_second(names, threads, plain);
      if (round == 0) continue;  // what was not prepared yet
      values.push_back(value / 1e6);
      baselines.push_back(baseline / 1e6);
    }
    const double value = median(values);
    const double aim = 5.0 * threads;
    print({fmt::format("context_in_process_{}", threads), value, "M/s",
           fmt::format(">= {} M/s with {} thread{}", aim, threads, threads == 1 ? "" : "s"),
           value >= aim, median(baselines),
           "an unordered_map of the same answers that never changes"});
  }
  // Every tenant alike: most are prepared anew, from the snapshot.
  const auto everybody = names_of(setup.size.tenants, 200'000);
  std::vector<double> values;
  for (int round = 0; round < kRounds; ++round)
    values.push_back(lookups_per_second(everybody, 1, ours) / 1e6);
  const double value = median(values);
  print({"context_in_process_all_tenants", value, "M/s", "told, no aim", true, 5.0,
         "the aim for those that are asked for often"});
  const double memory = resident_mb(getpid());
  say(fmt::format("in process: {:.0f} MB resident", memory));
}

// ---- Over the network.

// Answers that came, for each second of the server's processor.
struct Rate {
  double a_core = 0;
  double a_second = 0;
  double user_us = 0;  // of the server outside of the kernel, for each answer
};

template <typename Turn>
Rate measure(pid_t server, std::chrono::milliseconds length, const uint64_t& answers, Turn turn) {
  const auto warm = Clock::now() + length / 8;
  while (Clock::now() < warm) turn();
  const uint64_t before = answers;
  double user_before = 0;
  double user = 0;
  const double cpu = cpu_seconds(server, &user_before);
  const auto began = Clock::now();
  while (Clock::now() < began + length) turn();
  const double took = std::chrono::duration<double>(Clock::now() - began).count();
  const double used = cpu_seconds(server, &user) - cpu;
  const auto count = static_cast<double>(answers - before);
  return {count / std::max(used, 0.01), count / took, (user - user_before) / count * 1e6};
}

constexpr int kConnections = 32;

// As many calls at once as connections, or, with `rate`, so many a second and no more at once than
// there are to be.
class GrpcLoad {
 public:
  GrpcLoad(int port, const Setup& setup) : setup_(setup) {
    for (int i = 0; i < kConnections; ++i)
      clients_.push_back(std::make_unique<GrpcClient>(
          loop_, port, &tls_,
          GrpcClient::Events{
              [this](uint32_t, std::string_view message) { size_ = message.size(); },
              [this, i](uint32_t stream, uint64_t count) { ended(i, stream, count); }}));
    begun_.resize(kConnections);
  }

  // Every tenant that will be asked for, once.
  Rate ask_first(pid_t server) {
    const double cpu = cpu_seconds(server);
    const auto began = Clock::now();
    calling_ = true;
    for (int i = 0; i < kConnections; ++i) call(i, Clock::now());
    while (next_ < setup_.hot) loop_.turn(std::chrono::milliseconds(10));
    const double took = std::chrono::duration<double>(Clock::now() - began).count();
    return {setup_.hot / (cpu_seconds(server) - cpu), setup_.hot / took, 0};
  }

  Rate saturate(pid_t server) {
    if (!calling_)
      for (int i = 0; i < kConnections; ++i) call(i, Clock::now());
    calling_ = true;
    return measure(server, setup_.round, answers_,
                   [&] { loop_.turn(std::chrono::milliseconds(10)); });
  }

  // Times from when a call was due, not from when it could be sent.
  Histogram pace(double rate, std::chrono::milliseconds length) {
    calling_ = false;
    while (open_ > 0) loop_.turn(std::chrono::milliseconds(10));
    times_ = Histogram();
    const auto gap = std::chrono::nanoseconds(static_cast<int64_t>(1e9 / rate));
    auto due = Clock::now();
    const auto end = due + length;
    int at = 0;
    while (due < end) {
      for (const auto now = Clock::now(); due <= now && due < end; due += gap)
        call(at++ % kConnections, due);
      loop_.turn(std::chrono::milliseconds(0));
    }
    while (open_ > 0) loop_.turn(std::chrono::milliseconds(10));
    return times_;
  }

  [[nodiscard]] size_t message_size() const { return size_; }

 private:
  void call(int at, Clock::time_point due) {
    // tenant: field 1 of GetTenantContextRequest.
    const int tenant = next_ < setup_.hot
                           ? next_++
                           : static_cast<int>(random_() % static_cast<uint64_t>(setup_.hot));
    const std::string name = tenant_name(tenant);
    std::string request = "\x0a";
    request += static_cast<char>(name.size());
    request += name;
    const auto place = static_cast<size_t>(at);
    const uint32_t stream = clients_[place]->call("/frameworks.v1.Tenants/GetContext", setup_.token,
                                                  request, GrpcClient::Side::kEnds);
    begun_[place][stream] = due;
    ++open_;
  }

  void ended(int at, uint32_t stream, uint64_t count) {
    if (count != 1) {
      say("bench: a call was refused");
      std::exit(1);
    }
    const auto place = static_cast<size_t>(at);
    const auto began = begun_[place].find(stream);
    times_.add(Clock::now() - began->second);
    begun_[place].erase(began);
    --open_;
    ++answers_;
    if (calling_) call(at, Clock::now());
  }

  const Setup& setup_;
  Loop loop_;
  ClientTls tls_;
  std::vector<std::unique_ptr<GrpcClient>> clients_;
  std::vector<std::unordered_map<uint32_t, Clock::time_point>> begun_;
  std::mt19937_64 random_{11};
  int next_ = 0;  // asked for the first time
  bool calling_ = false;
  int open_ = 0;
  uint64_t answers_ = 0;
  size_t size_ = 0;
  Histogram times_;
};

class HttpLoad {
 public:
  HttpLoad(int port, std::string request, std::chrono::milliseconds round)
      : request_(std::move(request)), round_(round) {
    for (int i = 0; i < kConnections; ++i) {
      clients_.push_back(std::make_unique<HttpClient>(loop_, port, [this, i] {
        ++answers_;
        clients_[static_cast<size_t>(i)]->send(request_);
      }));
      clients_.back()->send(request_);
    }
    while (first().answer_size() == 0) loop_.turn(std::chrono::milliseconds(10));
  }
  // The client sleeps while there is nothing to read, or, with `polling`, looks again at once: who
  // answers on the same host pays for waking it, which over a network another host would.
  Rate saturate(pid_t server, bool polling = false) {
    const std::chrono::milliseconds patience(polling ? 0 : 10);
    return measure(server, round_, answers_, [&] { loop_.turn(patience); });
  }
  [[nodiscard]] const HttpClient& first() const { return *clients_.front(); }

 private:
  const std::string request_;
  const std::chrono::milliseconds round_;
  Loop loop_;
  std::vector<std::unique_ptr<HttpClient>> clients_;
  uint64_t answers_ = 0;
};

std::string request_for(const std::string& path, const std::string& token) {
  std::string out = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n";
  if (!token.empty()) out += "Authorization: Bearer " + token + "\r\n";
  return out + "\r\n";
}

// nginx with one worker and a file of so many bytes; null when it is not installed.
class Nginx {
 public:
  static std::unique_ptr<Nginx> start(const Setup& setup, size_t bytes,
                                      const std::vector<int>& on) {
    if (!std::filesystem::exists("/usr/sbin/nginx")) return nullptr;
    return std::make_unique<Nginx>(setup, bytes, on);
  }
  Nginx(const Setup& setup, size_t bytes, const std::vector<int>& on) {
    const auto folder = setup.folder / "nginx";
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "context.json") << std::string(bytes, ' ');
    port_ = 20'000 + static_cast<int>(getpid() % 10'000);
    std::ofstream(folder / "nginx.conf") << fmt::format(
        "daemon off; master_process off; worker_processes 1; pid {0}/pid; error_log {0}/error;\n"
        "events {{ worker_connections 1024; }}\n"
        "http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n"
        "open_file_cache max=10; types {{ application/json json; }}\n"
        "client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0};\n"
        "uwsgi_temp_path {0}; scgi_temp_path {0};\n"
        "server {{ listen 127.0.0.1:{1}; root {0}; }} }}\n",
        folder.string(), port_);
    child_ = std::make_unique<Child>(
        std::vector<std::string>{"/usr/sbin/nginx", "-c", (folder / "nginx.conf").string(), "-p",
                                 folder.string()},
        on, folder / "log");
    for (int i = 0; i < 200 && !std::filesystem::exists(folder / "pid"); ++i)
      system_clock().sleep_for(std::chrono::milliseconds(10), {});
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return child_->pid(); }

 private:
  int port_ = 0;
  std::unique_ptr<Child> child_;
};

void by_grpc(const ServerProcess& server, const Setup& setup, const std::vector<int>& on) {
  GrpcLoad load(server.grpc_port(), setup);
  const Rate first = load.ask_first(server.pid());
  const size_t bytes = load.message_size();
  const BareProcess bare(setup.folder, "bare-grpc", bytes, on);
  GrpcLoad bare_load(bare.port(), setup);
  bare_load.ask_first(bare.pid());
  std::vector<double> values;
  std::vector<double> baselines;
  std::vector<double> rates;
  for (int round = 0; round < kRounds; ++round) {
    const Rate ours = load.saturate(server.pid());
    // The other one's calls are not answered meanwhile: they wait in its socket.
    const Rate theirs = bare_load.saturate(bare.pid());
    say(fmt::format(
        "gRPC: {:.0f}/s a core ({:.0f}/s, {:.1f} us outside of the kernel), bare {:.0f}/s "
        "a core ({:.0f}/s)",
        ours.a_core, ours.a_second, ours.user_us, theirs.a_core, theirs.a_second));
    values.push_back(ours.a_core);
    rates.push_back(ours.a_second);
    baselines.push_back(theirs.a_core);
  }
  const double value = median(values);
  print({fmt::format("context_grpc ({} bytes)", bytes), value, "calls/s", ">= 50,000 a core",
         value >= 50'000, median(baselines),
         "a bare gRPC callback server that says the same bytes"});
  print({"context_grpc_first", first.a_core, "calls/s", "told, no aim", true, value,
         "the same tenants asked for again"});
  std::vector<double> tails;
  std::vector<double> bare_tails;
  std::vector<double> stalls;
  const double half = median(rates) / 2;
  for (int round = 0; round < kRounds; ++round) {
    tails.push_back(load.pace(half, setup.round).quantile(0.99) / 1000);
    bare_tails.push_back(bare_load.pace(half, setup.round).quantile(0.99) / 1000);
    stalls.push_back(
        machine_stalls(processors().back(), on.front(), half, setup.round).quantile(0.99) / 1000);
  }
  const double tail = median(tails);
  print({"context_grpc_p99_at_half_load", tail, "ms",
         fmt::format("<= 1 ms at {:.0f} calls/s", half), tail <= 1, median(bare_tails),
         "the bare gRPC server at the same rate"});
  print({"context_grpc_p99_and_stalls", tail, "ms", "told, no aim", true, median(stalls),
         "threads on both processors that do nothing: what the machine itself adds"});
}

void by_rest(const ServerProcess& server, const Setup& setup, const std::vector<int>& on) {
  HttpLoad load(server.rest_port(), request_for("/v1/tenants/tenant-7/context", setup.token),
                setup.round);
  const size_t bytes = load.first().answer_size();
  const size_t body = load.first().body_size();
  const BareProcess bare(setup.folder, "bare-http", bytes, on);
  HttpLoad bare_load(bare.port(), request_for("/v1/tenants/tenant-7/context", setup.token),
                     setup.round);
  const auto nginx = Nginx::start(setup, body, on);
  std::unique_ptr<HttpLoad> nginx_load;
  if (nginx != nullptr)
    nginx_load =
        std::make_unique<HttpLoad>(nginx->port(), request_for("/context.json", {}), setup.round);
  std::vector<double> ours;
  std::vector<double> raw;
  std::vector<double> web;
  std::vector<double> ours_polled;
  std::vector<double> raw_polled;
  for (int round = 0; round < kRounds; ++round) {
    const Rate rate = load.saturate(server.pid());
    ours.push_back(rate.a_core);
    raw.push_back(bare_load.saturate(bare.pid()).a_core);
    ours_polled.push_back(load.saturate(server.pid(), true).a_core);
    raw_polled.push_back(bare_load.saturate(bare.pid(), true).a_core);
    if (nginx != nullptr) web.push_back(nginx_load->saturate(nginx->pid()).a_core);
    say(fmt::format(
        "REST: {:.0f}/s a core ({:.2f} us outside of the kernel), bare {:.0f}, nginx {:.0f}",
        ours.back(), rate.user_us, raw.back(), web.empty() ? 0.0 : web.back()));
  }
  const double value = median(ours);
  print({fmt::format("context_rest ({} bytes)", bytes), value, "req/s", "ratio >= 0.85",
         value >= 0.85 * median(raw), median(raw), "a bare epoll server that says the same bytes"});
  print({"context_rest_polling_client", median(ours_polled), "req/s", "told, no aim", true,
         median(raw_polled), "the same server, and a client that never sleeps for both"});
  if (nginx == nullptr) return say("REST: nginx is not installed: not compared");
  print({"context_rest_and_nginx", value, "req/s", "ratio >= 1.3", value >= 1.3 * median(web),
         median(web), "nginx, one worker, a file of the same size"});
}

void run() {
  Setup setup;
  setup.size.tenants = env_or("FW_BENCH_TENANTS", setup.size.tenants);
  setup.size.nodes = 800;
  setup.size.per_cluster = 4;
  setup.size.services = 3;
  setup.size.serving = true;
  setup.hot = std::min(setup.hot, setup.size.tenants);
  setup.round = std::chrono::milliseconds(env_or("FW_BENCH_ROUND_MS", 2000));
  const auto directory = TemporaryDirectory::make("frameworks-context");
  setup.folder = directory->path();
  setup.state = setup.folder / "state";
  say(fmt::format("writing {} tenants", setup.size.tenants));
  make_fleet(setup.state, setup.size);
  {
    auto log = open_sqlite_log((setup.state / "fleet.db").string());
    const auto store = std::move(*Store::open(std::move(*log), system_clock(), {}));
    setup.token = make_token_in(*store);
    in_process(*store, setup);
  }
  if (env_or("FW_BENCH_IN_PROCESS", 0) != 0) return;
  const auto cpus = processors();
  const std::vector<int> for_server{cpus.front()};
  run_on({cpus.back()});
  // Nodes are not connected here: none shall be found missing.
  const ServerProcess server(setup.state, for_server, {"--heartbeat", "3600s"});
  by_grpc(server, setup, for_server);
  by_rest(server, setup, for_server);
  say(fmt::format("the server: {:.0f} MB resident", resident_mb(server.pid())));
}

}  // namespace
}  // namespace frameworks::bench

int main(int argc, char** argv) {
  using namespace frameworks::bench;
  serve_if_asked(argc, argv);
  run();
}
