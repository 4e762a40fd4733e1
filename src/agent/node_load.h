// What of this machine is in use, as heartbeats tell it.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

// A container (as local machines are) sees its host's processors and memory: of it the use of
// memory is told where it has a limit (cgroup v2, or v1), and that of processors is not. Not
// threadsafe.
class LoadMeter {
 public:
  // `root` is what stands before /proc and /sys, for tests; `disk` a folder of the file system that
  // counts.
  explicit LoadMeter(std::filesystem::path root = "/", std::filesystem::path disk = "/var")
      : root_(std::move(root)), disk_(std::move(disk)) {}

  // Since the last call; nothing at the first, and where it cannot be told. At most once in half a
  // second it is measured anew.
  std::optional<pb::NodeLoad> measure(MonoTime now);

 private:
  struct Sample {
    MonoTime time{};
    double busy = 0;  // of all cores, in ticks
    double total = 0;
    double sent = 0;  // bytes
  };
  [[nodiscard]] std::optional<Sample> sample(MonoTime now) const;
  [[nodiscard]] bool is_container() const;
  [[nodiscard]] double memory() const;
  [[nodiscard]] double disk() const;

  std::filesystem::path root_;
  std::filesystem::path disk_;
  std::optional<Sample> last_;
  std::optional<pb::NodeLoad> load_;
};

// Of /proc/stat: busy and total of the line "cpu". Nothing when there is none.
std::optional<std::pair<double, double>> parse_cpu(std::string_view stat);
// Of /proc/meminfo: the share that is not available. Nothing when it does not say.
std::optional<double> parse_memory(std::string_view meminfo);
// Of /proc/net/dev: bytes that interfaces sent, loopback and tunnels aside.
double parse_sent(std::string_view dev);

}  // namespace frameworks
