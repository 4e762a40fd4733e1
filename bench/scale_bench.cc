// The server's memory and its start with a million tenants, on a state folder made by the store.
#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <unordered_map>

#include "base/file.h"
#include "figure.h"
#include "fleet_maker.h"

namespace frameworks::bench {
namespace {

struct Started {
  double seconds = 0;
  double megabytes = 0;
};

// The real server on the folder, until it serves.
Started start_server(const std::filesystem::path& state) {
  const ServerProcess server(state, {});
  Started out{server.start_seconds()};
  // What starting left to be done, e.g. planning: the highest of some seconds counts.
  for (int i = 0; i < 50; ++i) {
    system_clock().sleep_for(std::chrono::milliseconds(100), {});
    out.megabytes = std::max(out.megabytes, resident_mb(server.pid()));
  }
  return out;
}

// The same tenants, grants and as many instances as parsed messages in a hash map.
double plain_map_mb(const FleetSize& size) {
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
  return seconds([&] {
    std::ifstream file(state / "fleet.db", std::ios::binary);
    std::vector<char> buffer(1 << 20);
    while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()))) {
    }
  });
}

}  // namespace
}  // namespace frameworks::bench

int main() {
  using namespace frameworks;
  using namespace frameworks::bench;
  FleetSize size;
  size.tenants = env_or("FW_BENCH_TENANTS", size.tenants);
  const auto directory = TemporaryDirectory::make("frameworks-scale");
  const auto state = directory->path() / "state";
  say(fmt::format("writing {} tenants with a grant each, {} nodes, {} instances", size.tenants,
                  size.nodes, size.nodes * size.services));
  say(fmt::format("written in {:.1f} s", seconds([&] { make_fleet(state, size); })));
  std::vector<double> took;
  std::vector<double> megabytes;
  std::vector<double> raw;
  for (int i = 0; i < 5; ++i) {
    const Started started = start_server(state);
    say(fmt::format("start {:.2f} s, {:.0f} MB", started.seconds, started.megabytes));
    took.push_back(started.seconds);
    megabytes.push_back(started.megabytes);
    raw.push_back(raw_read_seconds(state));
  }
  const double resident = median(megabytes);
  print({"scale_resident", resident, "MB", "<= 1500 MB", resident <= 1500, plain_map_mb(size),
         "the tenants and grants as messages in an unordered_map"});
  const double start = median(took);
  print({"scale_start", start, "s", "<= 10 s", start <= 10, median(raw),
         "reading the database file"});
  return 0;
}
