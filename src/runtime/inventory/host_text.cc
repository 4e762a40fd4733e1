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
using Installations = std::map<std::string, Installed>;

// Visits services so that each comes after those it depends on; by name where that leaves a choice.
class DependencyOrder {
 public:
  DependencyOrder(const Snapshot& snapshot, const Installations& services)
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
  const Installations& services_;
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

const HostTexts::Common& HostTexts::common(const Instances& instances) {
  key_.clear();
  for (const auto& instance : instances) {
    key_ += instance->spec().service();
    key_ += '\0';
    key_ += instance->spec().version();
    key_ += '\0';
  }
  const auto [at, first] = common_.try_emplace(key_);
  Common& out = at->second;
  if (!first) return out;
  Installations services;
  for (const auto& instance : instances)
    if (const auto* service = snapshot_.find<pb::Service>(instance->spec().service()))
      services[service->metadata().name()] = {service, instance->spec().version()};
  const DependencyOrder ordered(snapshot_, services);
  for (const Installed* installed : ordered.order()) {
    std::string text = json::serialize(service_json(*installed));
    out.text += out.text.empty() ? "[" : ",";
    out.text += text;
    out.services.emplace(installed->service->metadata().name(), std::move(text));
  }
  out.text += out.text.empty() ? "[]" : "]";
  return out;
}

const std::string& HostTexts::cluster_text(const std::string& name) {
  const auto [at, first] = clusters_.try_emplace(name);
  std::string& out = at->second;
  if (!first) return out;
  append_field(out, "frameworks_cluster", name);
  if (const auto* cluster = snapshot_.find<pb::Cluster>(name)) {
    append_field(out, "frameworks_tier", word(cluster->spec().tier()));
    append_field(out, "frameworks_region", cluster->spec().region());
  }
  return out;
}

void HostTexts::append(const pb::Node& node, const Instances& instances, std::string& out) {
  const pb::NodeSpec& spec = node.spec();
  out += "{\"ansible_host\":";
  append_json(out, spec.address());
  out += ",\"ansible_port\":";
  out += fmt::format_int(spec.ssh_port() == 0 ? 22 : spec.ssh_port()).c_str();
  append_field(out, "ansible_user",
               spec.ssh_user().empty() ? std::string_view("root") : spec.ssh_user());
  append_field(out, "frameworks_node", node.metadata().name());
  out += cluster_text(spec.cluster());
  append_field(out, "frameworks_mesh_address", spec.mesh_address());
  append_field(out, "frameworks_mesh_address6", spec.mesh_address6());
  out += ",\"frameworks_services\":";
  out += common(instances).text;
  out += '}';
}

std::string HostTexts::text(const pb::Node& node) {
  std::string out;
  append(node, snapshot_.find_by<pb::Instance>("node", node.metadata().name()), out);
  return out;
}

std::string HostTexts::version(const pb::Node& node) {
  text_.clear();
  append(node, snapshot_.find_by<pb::Instance>("node", node.metadata().name()), text_);
  return hex_encode(std::string_view(sha256(text_)).substr(0, 8));
}

const HostTexts::Services& HostTexts::services(const pb::Node& node) {
  return common(snapshot_.find_by<pb::Instance>("node", node.metadata().name())).services;
}

}  // namespace frameworks
