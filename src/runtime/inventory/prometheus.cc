#include <map>
#include <unordered_map>

#include "model/words.h"
#include "runtime/inventory/formats.h"
#include "runtime/inventory/host_text.h"

namespace frameworks {
namespace {

// Names of labels are [a-zA-Z_][a-zA-Z0-9_]*; ours have a prefix that begins well.
std::string label_name(std::string_view name) {
  std::string out = "__meta_frameworks_label_";
  for (const char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out += good ? c : '_';
  }
  return out;
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;  // an empty label is no label
  if (!out.empty()) out += ',';
  append_json(out, name);
  out += ':';
  append_json(out, value);
}

std::string state_text(pb::Health state) {
  return word(state == pb::HEALTH_UNSPECIFIED ? pb::HEALTH_UNKNOWN : state);
}

std::string labels_of(const Host& host) {
  const pb::Node& node = *host.node;
  std::string out;
  append_label(out, "__meta_frameworks_node", node.metadata().name());
  append_label(out, "__meta_frameworks_cluster", node.spec().cluster());
  append_label(out, "__meta_frameworks_region", host.cluster->spec().region());
  append_label(out, "__meta_frameworks_tier", word(host.cluster->spec().tier()));
  append_label(out, "__meta_frameworks_state", state_text(health_of(node)));
  append_label(out, "__meta_frameworks_availability", word(node.spec().availability()));
  std::map<std::string, std::string> labels;  // two names may become one: the first stays
  for (const auto& [name, value] : std::map<std::string, std::string>(
           node.metadata().labels().begin(), node.metadata().labels().end()))
    labels.emplace(label_name(name), value);
  for (const auto& [name, value] : labels) append_label(out, name, value);
  return out;
}

// The label of each state, made once.
class StateLabels {
 public:
  const std::string& of(pb::Health state) {
    std::string& out = labels_[state];
    if (out.empty()) append_label(out, "__meta_frameworks_instance_state", state_text(state));
    return out;
  }

 private:
  std::map<int, std::string> labels_;
};

// A port that is a target: its number as text, and its labels.
struct Target {
  std::string port;
  std::string labels;
};

std::vector<Target> targets_of(const pb::Service& service) {
  std::vector<Target> out;
  for (const pb::Port& port : service.spec().ports()) {
    if (port.protocol() == pb::PROTOCOL_UDP) continue;
    Target& target = out.emplace_back();
    target.port = std::to_string(port.port());
    append_label(target.labels, "__meta_frameworks_service", service.metadata().name());
    append_label(target.labels, "__meta_frameworks_role", service.spec().role());
    append_label(target.labels, "__meta_frameworks_port", port.name());
    append_label(target.labels, "__meta_frameworks_exposure", word(port.exposure()));
  }
  return out;
}

}  // namespace

std::string prometheus_text(const Snapshot& snapshot, const std::vector<Host>& hosts,
                            const std::set<std::string>& services) {
  std::unordered_map<std::string, std::vector<Target>> known;
  const auto targets = [&](const std::string& name) -> const std::vector<Target>& {
    const auto [at, first] = known.try_emplace(name);
    if (first && (services.empty() || services.contains(name)))
      if (const auto* service = snapshot.find<pb::Service>(name)) at->second = targets_of(*service);
    return at->second;
  };
  StateLabels states;
  std::string out = "[";
  std::string labels;
  for (const Host& host : hosts) {
    const pb::NodeSpec& spec = host.node->spec();
    const std::string& address =
        spec.mesh_address().empty() ? spec.mesh_address6() : spec.mesh_address();
    if (address.empty()) continue;
    const bool bracketed = address.find(':') != std::string::npos;
    labels.clear();
    for (const auto& instance : host.instances) {
      for (const Target& target : targets(instance->spec().service())) {
        if (labels.empty()) labels = labels_of(host);
        out += out.size() > 1 ? ",{\"targets\":[\"" : "{\"targets\":[\"";
        if (bracketed) out += '[';
        out += address;
        out += bracketed ? "]:" : ":";
        out += target.port;
        out += "\"],\"labels\":{";
        out += labels;
        out += ',';
        out += target.labels;
        append_label(out, "__meta_frameworks_version", instance->spec().version());
        out += ',';
        out += states.of(instance->status().state());
        out += "}}";
      }
    }
  }
  out += "]\n";
  return out;
}

}  // namespace frameworks
