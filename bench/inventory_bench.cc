// The inventory of a large fleet, as Ansible and Prometheus get it: by REST from the real server,
// beside what a script that prints the same JSON pays for that alone.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "figure.h"
#include "fleet_maker.h"

namespace frameworks::bench {
namespace {

constexpr int kRounds = 5;

[[noreturn]] void fail(const std::string& why) {
  say(why);
  std::exit(1);
}

// The body of a whole answer; the connection ends after it.
std::string get(int port, const std::string& path, const std::string& token) {
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    fail("cannot connect");
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
      path, token);
  if (write(fd.get(), request.data(), request.size()) < 0) fail("cannot write");
  std::string out;
  std::vector<char> bytes(1 << 20);
  while (true) {
    const ssize_t count = read(fd.get(), bytes.data(), bytes.size());
    if (count <= 0) break;
    out.append(bytes.data(), static_cast<size_t>(count));
  }
  const size_t body = out.find("\r\n\r\n");
  if (!out.starts_with("HTTP/1.1 200") || body == std::string::npos)
    fail(path + ": " + out.substr(0, 300));
  return out.substr(body + 4);
}

// Milliseconds that Python needs to print the same JSON once it has it in memory.
double python_ms(const std::filesystem::path& file) {
  const std::string script =
      "import json,sys,time\n"
      "data=json.load(open(sys.argv[1]))\n"
      "begin=time.perf_counter()\n"
      "json.dumps(data)\n"
      "print(1000*(time.perf_counter()-begin))";
  const auto done = run({.argv = {"python3", "-c", script, file.string()}});
  if (!done) fail(done.error().text());
  return std::atof(done->out.c_str());
}

void measure(const ServerProcess& server, const std::string& form, const std::string& token,
             const std::filesystem::path& folder, const FleetSize& size) {
  const std::string path = "/v1/inventory/" + form;
  std::vector<double> values;
  std::vector<double> baselines;
  size_t bytes = 0;
  double cpu = 0;
  for (int round = 0; round <= kRounds; ++round) {
    std::string body;
    const double before = cpu_seconds(server.pid());
    const double took = seconds([&] { body = get(server.rest_port(), path, token); }) * 1000;
    bytes = body.size();
    cpu = (cpu_seconds(server.pid()) - before) * 1000;
    const auto file = folder / (form + ".json");
    if (round == 0) {  // what was not parsed yet
      std::ofstream(file) << body;
      continue;
    }
    values.push_back(took);
    baselines.push_back(python_ms(file));
  }
  say(fmt::format("{}: {} hosts, {} instances, {:.1f} MB; {:.0f} ms of the server's processor",
                  form, size.nodes, size.nodes * size.services, static_cast<double>(bytes) / 1e6,
                  cpu));
  const double value = median(values);
  print({"inventory_" + form, value, "ms", "<= 300 ms", value <= 300, median(baselines),
         "Python's json.dumps of the same"});
}

}  // namespace
}  // namespace frameworks::bench

int main() {
  using namespace frameworks;
  using namespace frameworks::bench;
  FleetSize size;
  size.tenants = 1000;
  size.nodes = env_or("FW_BENCH_HOSTS", 30'000);
  size.per_cluster = 150;
  size.services = env_or("FW_BENCH_SERVICES", 3);
  size.serving = true;
  const auto directory = TemporaryDirectory::make("frameworks-inventory");
  const auto state = directory->path() / "state";
  say(fmt::format("written in {:.1f} s", seconds([&] { make_fleet(state, size); })));
  const ServerProcess server(state, {});
  const auto token = read_file(state / "admin.token");
  for (const char* form : {"ansible", "prometheus"})
    measure(server, form, std::string(trim(*token)), directory->path(), size);
  return 0;
}
