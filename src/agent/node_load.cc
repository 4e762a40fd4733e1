#include "agent/node_load.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/file.h"

namespace frameworks {
namespace {

constexpr std::chrono::milliseconds kAtMostEvery{500};

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  for (size_t at = line.find_first_not_of(" \t"); at != std::string_view::npos;
       at = line.find_first_not_of(" \t", at)) {
    const size_t end = std::min(line.find_first_of(" \t", at), line.size());
    out.push_back(line.substr(at, end - at));
    at = end;
  }
  return out;
}

std::vector<std::string_view> lines(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

double number(std::string_view text) {
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace

std::optional<std::pair<double, double>> parse_cpu(std::string_view stat) {
  const auto all = lines(stat);
  if (all.empty() || !all.front().starts_with("cpu ")) return {};
  const auto columns = words(all.front());
  if (columns.size() < 6) return {};
  // user nice system idle iowait irq softirq steal; guests are part of user already.
  double total = 0;
  for (size_t i = 1; i < std::min<size_t>(columns.size(), 9); ++i) total += number(columns[i]);
  const double idle = number(columns[4]) + number(columns[5]);
  return std::pair{total - idle, total};
}

std::optional<double> parse_memory(std::string_view meminfo) {
  double total = 0;
  std::optional<double> available;
  for (const std::string_view line : lines(meminfo)) {
    const auto columns = words(line);
    if (columns.size() < 2) continue;
    if (columns[0] == "MemTotal:") total = number(columns[1]);
    if (columns[0] == "MemAvailable:") available = number(columns[1]);
  }
  if (total <= 0 || !available) return {};
  return std::clamp(1 - *available / total, 0.0, 1.0);
}

double parse_sent(std::string_view dev) {
  double out = 0;
  for (const std::string_view line : lines(dev)) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto name = words(line.substr(0, colon));
    // What goes through the mesh is sent once more by the interface below it.
    const bool counts = !name.empty() && name[0] != "lo" && !name[0].starts_with("fw") &&
                        !name[0].starts_with("wg") && !name[0].starts_with("tun");
    const auto columns = words(line.substr(colon + 1));
    if (counts && columns.size() > 8) out += number(columns[8]);
  }
  return out;
}

std::optional<LoadMeter::Sample> LoadMeter::sample(MonoTime now) const {
  const auto stat = read_file(root_ / "proc/stat");
  const auto cpu = stat ? parse_cpu(*stat) : std::nullopt;
  if (!cpu) return {};
  Sample out{now, cpu->first, cpu->second, 0};
  if (const auto dev = read_file(root_ / "proc/net/dev"); dev) out.sent = parse_sent(*dev);
  return out;
}

bool LoadMeter::is_container() const {
  std::error_code ignored;
  return std::filesystem::exists(root_ / "run/systemd/container", ignored);
}

double LoadMeter::memory() const {
  // A machine that is a container has a limit of its own.
  for (const char* folder : {"sys/fs/cgroup/memory.", "sys/fs/cgroup/memory/memory."}) {
    const bool is_v1 = std::string_view(folder).find("memory/") != std::string_view::npos;
    const auto limit =
        read_file(root_ / (std::string(folder) + (is_v1 ? "limit_in_bytes" : "max")));
    const auto used =
        read_file(root_ / (std::string(folder) + (is_v1 ? "usage_in_bytes" : "current")));
    const auto stat = read_file(root_ / (std::string(folder) + "stat"));
    if (!limit || !used || !stat) continue;
    const double bytes = number(*limit);
    // "max", or as good as none.
    if (bytes <= 0 || bytes > 1e15) continue;
    double reclaimable = 0;
    for (const std::string_view line : lines(*stat)) {
      const auto columns = words(line);
      if (columns.size() == 2 && (columns[0] == "inactive_file" || columns[0] == "active_file"))
        reclaimable += number(columns[1]);
    }
    return std::clamp((number(*used) - reclaimable) / bytes, 0.0, 1.0);
  }
  if (is_container()) return 0;
  const auto meminfo = read_file(root_ / "proc/meminfo");
  return meminfo ? parse_memory(*meminfo).value_or(0) : 0;
}

double LoadMeter::disk() const {
  struct statvfs of {};
  if (statvfs(disk_.c_str(), &of) != 0 || of.f_blocks == 0) return 0;
  // As df counts: what only root may use is not free.
  const auto used = static_cast<double>(of.f_blocks - of.f_bfree);
  const double all = used + static_cast<double>(of.f_bavail);
  return all <= 0 ? 0 : used / all;
}

std::optional<pb::NodeLoad> LoadMeter::measure(MonoTime now) {
  if (last_ && now - last_->time < kAtMostEvery) return load_;
  const auto next = sample(now);
  if (!next) return {};
  const auto before = std::exchange(last_, next);
  if (!before || next->total <= before->total) return load_;
  const double elapsed = std::chrono::duration<double>(next->time - before->time).count();
  pb::NodeLoad load;
  if (!is_container())
    load.set_cpu(std::clamp((next->busy - before->busy) / (next->total - before->total), 0.0, 1.0));
  load.set_memory(memory());
  load.set_disk(disk());
  load.set_sent_mbps(std::max(0.0, next->sent - before->sent) * 8 / 1e6 / elapsed);
  load_ = load;
  return load_;
}

}  // namespace frameworks
