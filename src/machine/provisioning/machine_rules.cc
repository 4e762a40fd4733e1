#include "machine/provisioning/machine_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/ip.h"

namespace frameworks::provisioning {
namespace {

class Violations {
 public:
  explicit Violations(std::string object) : object_(std::move(object)) {}
  void add(std::string field, std::string message) {
    Violation violation;
    violation.object = object_;
    violation.field = std::move(field);
    violation.message = std::move(message);
    found_.push_back(std::move(violation));
  }
  Status status() {
    if (found_.empty()) return {};
    return Error::invalid(std::move(found_));
  }

 private:
  std::string object_;
  std::vector<Violation> found_;
};

void check_label(Violations& found, const std::string& field, const std::string& value) {
  if (!is_dns_label(value))
    found.add(field, fmt::format("\"{}\": must be a DNS label: at most 63 of a-z, 0-9 and inner -",
                                 value));
}

void check_host_cidr(Violations& found, const std::string& field, const std::string& value) {
  const auto cidr = Cidr::parse(value);
  if (!cidr) return found.add(field, cidr.error().message());
  if (!cidr->address().is_v4()) return found.add(field, fmt::format("{}: must be IPv4", value));
  if (cidr->prefix() < 8 || cidr->prefix() > 30)
    return found.add(field, fmt::format("{}: prefix must be 8 to 30", value));
  if (!cidr->has_host_bits())
    found.add(field, fmt::format("{}: is the network itself, not an address in it", value));
}

double seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) / 1e9;
}

void check_link(Violations& found, const std::string& at, const v1::RegionLink& link) {
  constexpr double kLongest = 10;
  check_label(found, at + ".region", link.region());
  if (const double delay = seconds(link.delay()); delay < 0 || delay > kLongest)
    found.add(at + ".delay", fmt::format("{} s: must be 0 to {} s", delay, kLongest));
  if (const double jitter = seconds(link.jitter()); jitter < 0 || jitter > kLongest)
    found.add(at + ".jitter", fmt::format("{} s: must be 0 to {} s", jitter, kLongest));
  if (!(link.loss() >= 0 && link.loss() <= 1))
    found.add(at + ".loss", fmt::format("{}: must be 0 to 1", link.loss()));
  if (!(link.rate_mbps() >= 0 && link.rate_mbps() <= 1e6))
    found.add(at + ".rate_mbps", fmt::format("{}: must be 0 to 1000000", link.rate_mbps()));
}

void check_key(Violations& found, const std::string& field, const std::string& key) {
  constexpr size_t kLongest = 16384;
  bool printable = true;
  for (const char c : key) printable = printable && c >= 0x20 && c != 0x7f;
  if (!printable || key.size() > kLongest || key.find(' ') == std::string::npos)
    found.add(field, "must be one line of an OpenSSH public key");
}

bool has_region(const v1::EnsureFabricRequest& fabric, const std::string& region) {
  return std::ranges::any_of(fabric.links(),
                             [&](const v1::RegionLink& link) { return link.region() == region; });
}

}  // namespace

bool is_dns_label(std::string_view text, size_t longest) {
  if (text.empty() || text.size() > longest || text.front() == '-' || text.back() == '-')
    return false;
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

Status check_fabric(const v1::EnsureFabricRequest& request) {
  constexpr int kMostRegions = 64;
  Violations found("EnsureFabricRequest");
  check_host_cidr(found, "host_address", request.host_address());
  if (request.links_size() > kMostRegions)
    found.add("links", fmt::format("{} regions: at most {}", request.links_size(), kMostRegions));
  std::set<std::string> seen;
  for (int i = 0; i < request.links_size(); ++i) {
    check_link(found, fmt::format("links[{}]", i), request.links(i));
    if (!seen.insert(request.links(i).region()).second)
      found.add(fmt::format("links[{}].region", i),
                fmt::format("\"{}\": named twice", request.links(i).region()));
  }
  return found.status();
}

Status check_machine(const v1::MachineSpec& spec) {
  constexpr int64_t kLeastMemoryMb = 64;
  constexpr int64_t kMostMemoryMb = int64_t{16} * 1024 * 1024;
  constexpr double kMostCpus = 4096;
  Violations found(fmt::format("MachineSpec/{}", spec.name()));
  check_label(found, "name", spec.name());
  check_label(found, "region", spec.region());
  check_host_cidr(found, "address", spec.address());
  if (!spec.gateway().empty()) {
    if (const auto gateway = IpAddress::parse(spec.gateway()); !gateway)
      found.add("gateway", gateway.error().message());
    else if (!gateway->is_v4())
      found.add("gateway", fmt::format("{}: must be IPv4", spec.gateway()));
  }
  if (!(spec.cpus() >= 0 && spec.cpus() <= kMostCpus))
    found.add("cpus", fmt::format("{}: must be 0 (no limit) to {}", spec.cpus(), kMostCpus));
  if (spec.memory_mb() != 0 &&
      (spec.memory_mb() < kLeastMemoryMb || spec.memory_mb() > kMostMemoryMb))
    found.add("memory_mb", fmt::format("{}: must be 0 (no limit) or {} to {}", spec.memory_mb(),
                                       kLeastMemoryMb, kMostMemoryMb));
  for (int i = 0; i < spec.authorized_keys_size(); ++i)
    check_key(found, fmt::format("authorized_keys[{}]", i), spec.authorized_keys(i));
  return found.status();
}

Status check_fabric_change(const v1::EnsureFabricRequest& wanted,
                           const std::vector<v1::MachineSpec>& machines) {
  ASSIGN_OR_RETURN(const Cidr host, Cidr::parse(wanted.host_address()));
  for (const v1::MachineSpec& machine : machines) {
    if (!has_region(wanted, machine.region()))
      return Error(Code::kFailedPrecondition,
                   fmt::format("region \"{}\": machine \"{}\" is in it; delete the machine first",
                               machine.region(), machine.name()));
    ASSIGN_OR_RETURN(const Cidr address, Cidr::parse(machine.address()));
    if (address.network() != host.network())
      return Error(Code::kFailedPrecondition,
                   fmt::format("host address {}: machine \"{}\" has {}, which is outside",
                               wanted.host_address(), machine.name(), machine.address()));
  }
  return {};
}

Status check_place(const v1::EnsureFabricRequest& fabric,
                   const std::vector<v1::MachineSpec>& machines, const v1::MachineSpec& spec) {
  const auto fails = [&](Code code, const std::string& message) {
    return Error(code, fmt::format("machine \"{}\": {}", spec.name(), message));
  };
  if (!has_region(fabric, spec.region()))
    return fails(Code::kFailedPrecondition,
                 fmt::format("region \"{}\" is not in the fabric; make it with EnsureFabric first",
                             spec.region()));
  ASSIGN_OR_RETURN(const Cidr host, Cidr::parse(fabric.host_address()));
  ASSIGN_OR_RETURN(const Cidr address, Cidr::parse(spec.address()));
  if (address.network() != host.network())
    return fails(Code::kFailedPrecondition, fmt::format("address {} is not in the fabric's {}",
                                                        spec.address(), host.network().text()));
  if (address.address() == host.address())
    return fails(Code::kAlreadyExists, fmt::format("address {} is the host's", spec.address()));
  for (const v1::MachineSpec& other : machines) {
    if (other.name() != spec.name() && other.address() == spec.address())
      return fails(Code::kAlreadyExists,
                   fmt::format("address {} is that of \"{}\"", spec.address(), other.name()));
  }
  return {};
}

Status check_unmoved(const v1::MachineSpec& present, const v1::MachineSpec& wanted) {
  if (present.region() == wanted.region() && present.address() == wanted.address() &&
      present.gateway() == wanted.gateway())
    return {};
  return Error(Code::kFailedPrecondition,
               fmt::format("machine \"{}\": is in region \"{}\" at {}; to move it, delete it first",
                           present.name(), present.region(), present.address()));
}

}  // namespace frameworks::provisioning
