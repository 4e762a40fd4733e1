#include "machine/provisioning/pool_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "base/ip.h"
#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"

namespace frameworks {
namespace {

constexpr std::string_view kLocal = "local";

// The number at the end of "eu-edge-12"; 0: there is none.
uint64_t number_of(std::string_view name) {
  const size_t dash = name.rfind('-');
  const std::string_view digits = dash == std::string_view::npos ? "" : name.substr(dash + 1);
  uint64_t number = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return failed == std::errc{} && end == digits.data() + digits.size() ? number : 0;
}

// Where in a range a node's address is looked for first. Names without a number are spread, so that
// an address hardly depends on which nodes came before.
uint64_t preferred_offset(const std::string& name) {
  if (const uint64_t number = number_of(name); number != 0) return number;
  uint64_t hash = 0;
  for (const char byte : sha256(name).substr(0, 4)) hash = hash << 8 | static_cast<uint8_t>(byte);
  return hash + 1;
}

// Hands out the free addresses of one range.
class AddressRange {
 public:
  explicit AddressRange(std::string_view cidr) {
    if (Result<Cidr> parsed = Cidr::parse(cidr)) network_ = parsed->network();
  }
  [[nodiscard]] bool exists() const { return network_.has_value(); }

  void take(const std::string& address) {
    if (const Result<IpAddress> parsed = IpAddress::parse(address)) used_.insert(*parsed);
  }

  // The free address at `offset`, or the next one after it, going round; empty: none is free.
  std::string allocate(uint64_t offset) {
    if (!network_) return {};
    // Neither the network's own address nor the last one, which IPv4 keeps for broadcast.
    const uint64_t first = network_->size() > 2 ? 1 : 0;
    const uint64_t count = network_->size() - 2 * first;
    for (uint64_t i = 0; i < count && i <= used_.size(); ++i) {
      const IpAddress address = network_->address().plus(first + (offset - first + i) % count);
      if (used_.insert(address).second) return address.text();
    }
    return {};
  }

 private:
  std::optional<Cidr> network_;
  std::set<IpAddress> used_;
};

// Derives the nodes of one cluster.
class ClusterNodes {
 public:
  ClusterNodes(Transaction& transaction, std::string cluster, std::vector<Violation>& violations)
      : transaction_(transaction), cluster_(std::move(cluster)), violations_(violations) {}

  void plan() {
    for (const auto& node : transaction_.snapshot().find_by<pb::Node>("cluster", cluster_))
      nodes_[node->metadata().name()] = node;
    remove_orphans();
    for (const auto& pool : transaction_.snapshot().find_by<pb::MachinePool>("cluster", cluster_))
      if (pool->spec().provider() == kLocal) resize(*pool);
    give_addresses();
  }

 private:
  using NodePtr = std::shared_ptr<const pb::Node>;

  void remove(const std::string& name) {
    transaction_.remove({"Node", "", name});
    nodes_.erase(name);
  }

  // Nodes whose pool is gone.
  void remove_orphans() {
    std::vector<std::string> gone;
    for (const auto& [name, node] : nodes_) {
      const std::string& pool = node->spec().pool();
      if (!pool.empty() && transaction_.snapshot().find<pb::MachinePool>(pool) == nullptr)
        gone.push_back(name);
    }
    for (const std::string& name : gone) remove(name);
  }

  void resize(const pb::MachinePool& pool) {
    std::vector<std::pair<uint64_t, std::string>> mine;
    for (const auto& [name, node] : nodes_)
      if (node->spec().pool() == pool.metadata().name()) mine.emplace_back(number_of(name), name);
    std::sort(mine.begin(), mine.end());
    const auto wanted = static_cast<size_t>(std::max(0, pool.spec().count()));
    for (; mine.size() > wanted; mine.pop_back()) remove(mine.back().second);
    uint64_t number = 0;
    for (size_t have = mine.size(); have < wanted; ++have) {
      std::string name;
      do name = fmt::format("{}-{}", cluster_, ++number);
      while (transaction_.snapshot().find<pb::Node>(name) != nullptr || nodes_.contains(name));
      create(pool, name);
    }
  }

  // Only in nodes_: written once it has its addresses.
  void create(const pb::MachinePool& pool, const std::string& name) {
    pb::Node node;
    node.mutable_metadata()->set_name(name);
    node.mutable_spec()->set_cluster(cluster_);
    node.mutable_spec()->set_pool(pool.metadata().name());
    if (const Kind& kind = kind_of<pb::Node>(); kind.defaults) kind.defaults(node);
    nodes_[name] = std::make_shared<const pb::Node>(std::move(node));
  }

  static bool needs_addresses(const pb::NodeSpec& spec, const pb::ClusterNetworks& networks) {
    return (spec.address().empty() && !spec.pool().empty() && !networks.machines().empty()) ||
           (spec.mesh_address().empty() && !networks.mesh().empty()) ||
           (spec.mesh_address6().empty() && !networks.mesh6().empty());
  }

  void give_addresses() {
    const auto* cluster = transaction_.snapshot().find<pb::Cluster>(cluster_);
    if (cluster == nullptr) return;
    const pb::ClusterNetworks& networks = cluster->spec().networks();
    std::vector<NodePtr> needy;
    for (const auto& [name, node] : nodes_)
      if (needs_addresses(node->spec(), networks)) needy.push_back(node);
    if (needy.empty()) return;

    AddressRange machines(networks.machines());
    AddressRange mesh(networks.mesh());
    AddressRange mesh6(networks.mesh6());
    for (const auto& [name, node] : nodes_) {
      machines.take(node->spec().address());
      mesh.take(node->spec().mesh_address());
      mesh6.take(node->spec().mesh_address6());
    }
    for (const NodePtr& node : needy) give_addresses(*node, networks, machines, mesh, mesh6);
  }

  void give_addresses(pb::Node node, const pb::ClusterNetworks& networks, AddressRange& machines,
                      AddressRange& mesh, AddressRange& mesh6) {
    pb::NodeSpec& spec = *node.mutable_spec();
    const std::string& name = node.metadata().name();
    const uint64_t offset = preferred_offset(name);
    bool complete = true;
    const auto fill = [&](AddressRange& range, std::string_view sort, const std::string& cidr,
                          const std::string& present, auto set) {
      if (!present.empty() || !range.exists()) return;
      std::string address = range.allocate(offset);
      if (address.empty()) {
        complete = false;
        no_address_left(node, sort, cidr);
      } else {
        set(std::move(address));
      }
    };
    if (!spec.pool().empty())
      fill(machines, "machines", networks.machines(), spec.address(),
           [&](std::string address) { spec.set_address(std::move(address)); });
    fill(mesh, "mesh", networks.mesh(), spec.mesh_address(),
         [&](std::string address) { spec.set_mesh_address(std::move(address)); });
    fill(mesh6, "mesh6", networks.mesh6(), spec.mesh_address6(),
         [&](std::string address) { spec.set_mesh_address6(std::move(address)); });
    if (complete) transaction_.put(std::move(node));
  }

  void no_address_left(const pb::Node& node, std::string_view sort, const std::string& cidr) {
    const bool pooled = !node.spec().pool().empty();
    Violation violation;
    violation.object =
        pooled ? "MachinePool/" + node.spec().pool() : "Node/" + node.metadata().name();
    violation.field = pooled ? "spec.count" : "spec.meshAddress";
    violation.message = fmt::format(
        "range {} of cluster \"{}\" has no address left for \"{}\": add a cluster, "
        "or give a wider spec.networks.{}",
        cidr, cluster_, node.metadata().name(), sort);
    const bool told =
        std::any_of(violations_.begin(), violations_.end(), [&](const Violation& other) {
          return other.object == violation.object && other.field == violation.field;
        });
    if (!told) violations_.push_back(std::move(violation));
  }

  Transaction& transaction_;
  std::string cluster_;
  std::vector<Violation>& violations_;
  std::map<std::string, NodePtr> nodes_;
};

Status plan_clusters(Transaction& transaction, const std::set<std::string>& clusters) {
  std::vector<Violation> violations;
  for (const std::string& cluster : clusters) ClusterNodes(transaction, cluster, violations).plan();
  if (!violations.empty()) return Error::invalid(std::move(violations));
  return {};
}

// What a local machine is, as fields for a plan; empty where the node has no local machine.
using Facts = std::vector<std::pair<std::string, std::string>>;

Facts machine_facts(const Snapshot& snapshot, const pb::Node& node) {
  const auto* pool = snapshot.find<pb::MachinePool>(node.spec().pool());
  const auto* cluster = snapshot.find<pb::Cluster>(node.spec().cluster());
  if (pool == nullptr || cluster == nullptr || pool->spec().provider() != kLocal) return {};
  const auto& delay = pool->spec().local().wan_delay();
  const Duration one_way =
      std::chrono::seconds(delay.seconds()) + std::chrono::nanoseconds(delay.nanos());
  return {{"cpus", fmt::format("{:g}", pool->spec().size().cpus())},
          {"memoryMb", std::to_string(pool->spec().size().memory_mb())},
          {"address", '"' + node.spec().address() + '"'},
          {"region", '"' + cluster->spec().region() + '"'},
          {"wanDelay", '"' + format_duration(one_way) + '"'}};
}

std::string summary(const std::string& action, const std::string& node, const Facts& facts) {
  const auto plain = [&](size_t i) { return std::string(facts[i].second); };
  const auto unquoted = [&](size_t i) { return plain(i).substr(1, plain(i).size() - 2); };
  return fmt::format("{} machine {}: {} {}, {} MiB, {} in {}", action, node, plain(0),
                     plain(0) == "1" ? "core" : "cores", plain(1), unquoted(2), unquoted(3));
}

std::optional<pb::PlanStep> machine_step(const std::string& node, const Facts& before,
                                         const Facts& after) {
  if (before == after) return std::nullopt;
  const std::string action = before.empty() ? "create" : after.empty() ? "delete" : "update";
  pb::PlanStep step;
  step.set_layer("machine");
  step.set_action(action);
  step.set_object(node);
  step.set_summary(summary(action, node, after.empty() ? before : after));
  const Facts& fields = after.empty() ? before : after;
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string old_value = before.empty() ? "" : before[i].second;
    const std::string new_value = after.empty() ? "" : after[i].second;
    if (old_value == new_value) continue;
    pb::FieldChange& change = *step.add_changes();
    change.set_field(fields[i].first);
    change.set_before(old_value);
    change.set_after(new_value);
  }
  return step;
}

}  // namespace

Status plan_pool_nodes(Transaction& transaction) {
  std::set<std::string> clusters;
  for (const auto& pool : transaction.snapshot().list<pb::MachinePool>())
    clusters.insert(pool->spec().cluster());
  for (const auto& node : transaction.snapshot().list<pb::Node>())
    clusters.insert(node->spec().cluster());
  return plan_clusters(transaction, clusters);
}

Status plan_pool_nodes(Transaction& transaction, std::span<const ResourceKey> changed) {
  const Snapshot& snapshot = transaction.snapshot();
  std::set<std::string> clusters;
  for (const ResourceKey& key : changed) {
    if (key.kind == "Cluster") clusters.insert(key.name);
    if (key.kind == "MachinePool") {
      if (const auto* pool = snapshot.find<pb::MachinePool>(key.name))
        clusters.insert(pool->spec().cluster());
      for (const auto& node : snapshot.find_by<pb::Node>("pool", key.name))
        clusters.insert(node->spec().cluster());
    }
    if (key.kind == "Node") {
      const auto* node = snapshot.find<pb::Node>(key.name);
      // A node that is gone may leave its pool one short; the name tells whose it was.
      clusters.insert(node != nullptr ? node->spec().cluster()
                                      : key.name.substr(0, key.name.rfind('-')));
    }
  }
  return plan_clusters(transaction, clusters);
}

void keep_addresses(const pb::NodeSpec& was, pb::NodeSpec& now) {
  if (now.address().empty() && !now.pool().empty()) now.set_address(was.address());
  if (now.mesh_address().empty()) now.set_mesh_address(was.mesh_address());
  if (now.mesh_address6().empty()) now.set_mesh_address6(was.mesh_address6());
}

std::vector<pb::PlanStep> explain_machines(const Snapshot& before, const Snapshot& after,
                                           const std::set<std::string>* only) {
  std::map<std::string, std::pair<Facts, Facts>> machines;
  if (only == nullptr) {
    for (const auto& node : before.list<pb::Node>())
      machines[node->metadata().name()].first = machine_facts(before, *node);
    for (const auto& node : after.list<pb::Node>())
      machines[node->metadata().name()].second = machine_facts(after, *node);
  } else {
    for (const std::string& name : *only) {
      if (const auto* node = before.find<pb::Node>(name))
        machines[name].first = machine_facts(before, *node);
      if (const auto* node = after.find<pb::Node>(name))
        machines[name].second = machine_facts(after, *node);
    }
  }
  std::vector<pb::PlanStep> steps;
  for (const auto& [node, facts] : machines)
    if (auto step = machine_step(node, facts.first, facts.second))
      steps.push_back(std::move(*step));
  return steps;
}

}  // namespace frameworks
