#include "runtime/inventory/host_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iterator>
#include <map>
#include <set>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks {
namespace {

namespace json = boost::json;

struct Installed {
  const pb::Service* service = nullptr;
  std::string version;
};
using Services = std::map<std::string, Installed>;

// Visits services so that each comes after those it depends on; by name where that leaves a choice.
class DependencyOrder {
 public:
  DependencyOrder(const Snapshot& snapshot, const Services& services)
      : snapshot_(snapshot), services_(services) {
    for (const auto& [name, installed] : services_) visit(name);
  }
  [[nodiscard]] const std::vector<const Installed*>& order() const { return order_; }

 private:
  void visit(const std::string& name) {
    // What runs elsewhere may itself depend on what runs here.
    const auto* service = snapshot_.find<pb::Service>(name);
    if (service == nullptr || !visited_.insert(name).second) return;
    const auto& depends = service->spec().depends_on();
    for (const std::string& first : std::set<std::string>(depends.begin(), depends.end()))
      visit(first);
    const auto found = services_.find(name);
    if (found != services_.end()) order_.push_back(&found->second);
  }

  const Snapshot& snapshot_;
  const Services& services_;
  std::set<std::string> visited_;
  std::vector<const Installed*> order_;
};

json::object service_json(const Installed& installed) {
  const pb::ServiceSpec& spec = installed.service->spec();
  json::array ports;
  for (const pb::Port& port : spec.ports())
    ports.push_back(json::object{{"name", port.name()},
                                 {"port", port.port()},
                                 {"protocol", word(port.protocol())},
                                 {"exposure", word(port.exposure())}});
  // A protobuf map has no order, and the hash needs one.
  const std::map<std::string, google::protobuf::Value> sorted(spec.config().begin(),
                                                              spec.config().end());
  json::object config;
  for (const auto& [name, value] : sorted) config[name] = to_json(value);
  return {{"name", installed.service->metadata().name()},
          {"role", spec.role()},
          {"version", installed.version},
          {"ports", std::move(ports)},
          {"config", std::move(config)}};
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += ",\"";
  out += name;
  out += "\":";
  append_json(out, value);
}

}  // namespace

void append_json(std::string& out, std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
  });
  if (!plain) {
    out += json::serialize(json::string_view(text.data(), text.size()));
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

const std::string& HostTexts::services_text(const Instances& instances) {
  key_.clear();
  for (const auto& instance : instances) {
    key_ += instance->spec().service();
    key_ += '\0';
    key_ += instance->spec().version();
    key_ += '\0';
  }
  const auto [at, first] = services_.try_emplace(key_);
  if (!first) return at->second;
  Services services;
  for (const auto& instance : instances)
    if (const auto* service = snapshot_.find<pb::Service>(instance->spec().service()))
      services[service->metadata().name()] = {service, instance->spec().version()};
  json::array all;
  const DependencyOrder ordered(snapshot_, services);
  for (const Installed* installed : ordered.order()) all.push_back(service_json(*installed));
  at->second = json::serialize(all);
  return at->second;
}

void HostTexts::append(const pb::Node& node, const Instances& instances, std::string& out) {
  const pb::NodeSpec& spec = node.spec();
  out += "{\"ansible_host\":";
  append_json(out, spec.address());
  fmt::format_to(std::back_inserter(out), ",\"ansible_port\":{}",
                 spec.ssh_port() == 0 ? 22 : spec.ssh_port());
  append_field(out, "ansible_user", spec.ssh_user().empty() ? "root" : spec.ssh_user());
  append_field(out, "frameworks_node", node.metadata().name());
  append_field(out, "frameworks_cluster", spec.cluster());
  if (const auto* cluster = snapshot_.find<pb::Cluster>(spec.cluster())) {
    append_field(out, "frameworks_tier", word(cluster->spec().tier()));
    append_field(out, "frameworks_region", cluster->spec().region());
  }
  append_field(out, "frameworks_mesh_address", spec.mesh_address());
  append_field(out, "frameworks_mesh_address6", spec.mesh_address6());
  out += ",\"frameworks_services\":";
  out += services_text(instances);
  out += '}';
}

std::string HostTexts::text(const pb::Node& node) {
  std::string out;
  append(node, snapshot_.find_by<pb::Instance>("node", node.metadata().name()), out);
  return out;
}

std::string HostTexts::version(const pb::Node& node) {
  return sha256_hex(text(node)).substr(0, 16);
}

}  // namespace frameworks
